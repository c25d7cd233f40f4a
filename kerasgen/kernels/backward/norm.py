"""Gradients of normalisations. `d` is always the gradient of the result."""
