"""Benchmarks a module against Keras and other runtimes. Kept empty: every measured process imports it."""
