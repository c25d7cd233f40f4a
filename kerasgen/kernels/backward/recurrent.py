"""Gradients of recurrent layers, through time. `d` is always the gradient of the result."""
