"""Derivatives of attention and masks."""
