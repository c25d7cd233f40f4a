"""Rules for TensorFlow functions that a model calls as layers."""
