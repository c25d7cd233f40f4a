"""Gradients of activations. `d` is always the gradient of the result."""
