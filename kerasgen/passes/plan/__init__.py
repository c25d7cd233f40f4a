"""Passes that choose how the module computes: kernels, layouts, buffers, batches."""
