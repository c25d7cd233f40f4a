"""Turns a model file into a graph: the builder, custom rules, and the summary of a graph."""

from kerasgen.builder.builder import Built, build

__all__ = ["Built", "build"]
