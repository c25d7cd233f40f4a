"""Derivatives of activations."""
