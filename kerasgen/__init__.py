"""kerasgen takes a trained Keras network out of Keras: one readable Python module that needs only NumPy."""

__version__ = "0.1.0"
