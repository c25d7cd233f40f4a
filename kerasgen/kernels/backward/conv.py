"""Gradients of dense layers and convolutions. `d` is always the gradient of the result."""
