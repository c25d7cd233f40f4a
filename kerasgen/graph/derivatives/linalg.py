"""Derivatives of matrix products and decompositions."""
