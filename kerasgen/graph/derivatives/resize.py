"""Derivatives of upsampling and resizing."""
