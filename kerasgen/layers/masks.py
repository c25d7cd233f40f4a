"""Masks: which layers hand the mask of their first input on, as Keras's `supports_masking` says.

A rule that takes `mask` is given the mask of its input; one that makes another mask sets `layer.output_mask`. Keras 3
writes the masks of functional models out as tensors of their own, and those come first.
"""

PASSES_ON = frozenset("""
    Activation ActivityRegularization Add AlphaDropout Average BatchNormalization Bidirectional Concatenate Conv1D Dense
    Dropout ELU GaussianDropout GaussianNoise Identity LayerNormalization LeakyReLU Maximum Minimum Multiply PReLU ReLU
    Softmax SpatialDropout1D SpatialDropout2D SpatialDropout3D Subtract
    """.split())
