"""Passes that fold one layer into another: fewer nodes, the same answers but for rounding."""
