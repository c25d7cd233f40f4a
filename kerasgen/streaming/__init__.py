"""Streaming: from a graph of whole sequences to the straight line that computes the new steps alone."""
