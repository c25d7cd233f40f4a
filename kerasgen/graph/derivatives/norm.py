"""Derivatives of normalisations."""
