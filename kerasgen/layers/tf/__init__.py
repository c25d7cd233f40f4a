"""Rules for functions of TensorFlow that a model calls as layers."""
