"""Derivatives of recurrent layers, through time."""
