"""Derivatives of padding and cropping."""
