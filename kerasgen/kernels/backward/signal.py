"""Gradients of transforms of signals. `d` is always the gradient of the result."""
