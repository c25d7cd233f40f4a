"""Derivatives of transforms of signals."""
