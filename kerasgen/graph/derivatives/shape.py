"""Derivatives of what only moves cells."""
