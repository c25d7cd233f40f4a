"""Gradients of reductions. `d` is always the gradient of the result."""
