"""Gradients of matrix products and decompositions. `d` is always the gradient of the result."""
