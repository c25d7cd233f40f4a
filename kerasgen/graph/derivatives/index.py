"""Derivatives of gathering, scattering and sorting."""
