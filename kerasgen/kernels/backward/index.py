"""Gradients of gathering, scattering and sorting. `d` is always the gradient of the result."""
