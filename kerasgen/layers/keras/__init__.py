"""Rules for the layers of Keras."""
