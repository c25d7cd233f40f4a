"""Derivatives of pooling."""
