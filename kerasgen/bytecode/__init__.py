"""Reads the functions of Lambda layers: from bytes to an expression of symbols. Nothing of a file is run."""

from kerasgen.bytecode.expression import Expression, Node
from kerasgen.bytecode.stored import expression

__all__ = ["Expression", "Node", "expression"]
