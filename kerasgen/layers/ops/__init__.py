"""Rules for the operations of Keras 3."""
