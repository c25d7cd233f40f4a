"""Gradients of attention and masks. `d` is always the gradient of the result."""
