"""Gradients of operations on images. `d` is always the gradient of the result."""
