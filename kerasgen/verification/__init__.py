"""Proof: a module is compared with Keras, and where they differ, the first wrong layer and step are found."""
