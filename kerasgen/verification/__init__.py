"""Compares a module with Keras and, if they differ, finds the first wrong layer and the step that made it wrong."""
