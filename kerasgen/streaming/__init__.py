"""Streaming: turns a graph for whole sequences into one that computes only the new steps."""
