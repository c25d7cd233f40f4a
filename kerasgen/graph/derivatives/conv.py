"""Derivatives of dense layers and convolutions."""
