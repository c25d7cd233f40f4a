"""Passes that every level runs: they remove nodes, and change no number."""
