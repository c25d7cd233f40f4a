"""Passes that every level runs: they remove nodes and do not change results."""
