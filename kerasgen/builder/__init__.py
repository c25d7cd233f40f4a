"""A model file becomes a graph: the builder, custom rules, and the summary of what was built."""

from kerasgen.builder.builder import Built, build

__all__ = ["Built", "build"]
