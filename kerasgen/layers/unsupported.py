"""The Keras classes that have no rule, each with the reason to show the user."""

from __future__ import annotations

UNSUPPORTED: dict[str, str] = {
    "DenseFeatures": "it computes with feature columns of TensorFlow, on dicts of tensors and text",
    "FlaxLayer": "it runs code of another library, which the file does not hold",
    "JaxLayer": "it runs code of another library, which the file does not hold",
    "MaxNumBoundingBoxes": "it pads bounding boxes in dicts and leaves images unchanged",
    "StringLookup": "its input or its output is text, which the module does not take",
    "TFSMLayer": "it runs a SavedModel of TensorFlow, which is not in the file",
    "TextVectorization": "its input is text, which the module does not take",
    "TorchModuleWrapper": "it runs code of another library, which the file does not hold",
    "ops.Arange": "the shape of its result depends on the data",
    "ops.Argpartition": "Keras's backends do not agree about the order of its result",
    "ops.AssociativeScan": "it calls a Python function, which the file names at best but does not hold",
    "ops.Bincount": "the shape of its result depends on the data",
    "ops.Cond": "it calls a Python function, which the file names at best but does not hold",
    "ops.ElasticTransform": "it draws random numbers at inference: no two calls of it agree",
    "ops.ForiLoop": "it calls a Python function, which the file names at best but does not hold",
    "ops.JVP": "it calls a Python function, which the file names at best but does not hold",
    "ops.Map": "it calls a Python function, which the file names at best but does not hold",
    "ops.Ndim": "its result is not a tensor, and Keras records a wrong shape for it",
    "ops.Nonzero": "the shape of its result depends on the data",
    "ops.Scan": "it calls a Python function, which the file names at best but does not hold",
    "ops.SegmentReduction": "the base class of the operations on segments, never in a model",
    "ops.Switch": "it calls a Python function, which the file names at best but does not hold",
    "ops.VectorizedMap": "it calls a Python function, which the file names at best but does not hold",
    "ops.WhileLoop": "it calls a Python function, which the file names at best but does not hold",
}
