"""Gradients of padding and cropping. `d` is always the gradient of the result."""
