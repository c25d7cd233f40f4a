"""Gradients of what only moves cells. `d` is always the gradient of the result."""
