"""Derivatives of operations on images."""
