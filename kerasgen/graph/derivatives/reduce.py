"""Derivatives of reductions."""
