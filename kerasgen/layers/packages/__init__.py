"""Rules for the layers of packages that people use beside Keras, a file for each package."""
