"""Gradients of pooling. `d` is always the gradient of the result."""
