"""Gradients of upsampling and resizing. `d` is always the gradient of the result."""
