"""Converts a model to ONNX or LiteRT for one batch size. Runs in a separate process: `python -m … JOB`."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kerasgen.verification.oracle import Oracle, oracle

OPSET = 17
LARGE = 1_000_000  # elements; larger matrices bypass tf2onnx


def to_tflite(keras: Oracle, specs: Sequence[Any]) -> bytes:
    """The model as a LiteRT file."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    def call(*arrays: Any) -> Any:
        return keras.model(keras.arranged(arrays), training=False)

    frozen = convert_variables_to_constants_v2(tf.function(call, input_signature=specs).get_concrete_function())
    return bytes(tf.lite.TFLiteConverter.from_concrete_functions([frozen]).convert())


def to_onnx(keras: Oracle, specs: Sequence[Any]) -> bytes:
    """The model as an ONNX file.

    tf2onnx copies constants so often that large dense layers exhaust the memory: such matrices go in as inputs and
    become constants afterwards, as do arrays that layers hold in addition to their weights.
    """
    import onnx
    import tensorflow as tf
    import tf2onnx

    weights = list(getattr(keras.model, "trainable_variables", ())) if hasattr(keras.model, "stateless_call") else []
    large = {f"weight_{i}": v for i, v in enumerate(weights) if len(v.shape) == 2 and math.prod(v.shape) > LARGE}

    def call(*arrays: Any) -> Any:
        inputs, matrices = keras.arranged(arrays[: len(specs)]), dict(zip(large, arrays[len(specs) :], strict=True))
        if not large:
            return keras.model(inputs, training=False)
        values = [matrices.get(f"weight_{i}", v.value) for i, v in enumerate(weights)]
        rest = [v.value for v in keras.model.non_trainable_variables]
        return keras.model.stateless_call(values, rest, inputs, training=False)[0]

    signature = [*specs, *(tf.TensorSpec(v.shape, v.dtype, name=name) for name, v in large.items())]
    tf.config.run_functions_eagerly(True)  # functions that Keras compiles separately become part of this one
    tf.nn.gelu = _gelu(tf.nn.gelu, tf.math.erf)
    traced = tf.function(call, input_signature=signature)
    converted, _ = tf2onnx.convert.from_function(traced, input_signature=signature, opset=OPSET)
    constants = {name: v.numpy() for name, v in large.items()}
    concrete = traced.get_concrete_function(*signature)
    outside = concrete.captured_inputs
    captured = zip(concrete.inputs[-len(outside) :], outside, strict=bool(outside))
    constants.update((inside.name, value.numpy()) for inside, value in captured if inside.dtype != tf.resource)
    converted.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in constants.items())
    inputs = [value for value in converted.graph.input if value.name not in constants]
    del converted.graph.input[:]
    converted.graph.input.extend(inputs)
    return bytes(converted.SerializeToString())


def _gelu(gelu: Any, erf: Any) -> Any:
    """GELU by `erf`: TensorFlow uses `erfc`, which tf2onnx lacks."""

    def by_erf(features: Any, approximate: bool = False, name: Any = None) -> Any:
        if approximate:
            return gelu(features, True)
        return 0.5 * features * (1.0 + erf(features / math.sqrt(2.0)))

    return by_erf


CONVERTERS = {"onnx": to_onnx, "tflite": to_tflite}


def main() -> None:
    """Do the job: `path`, `weights` and `keras_version` of a model, its `inputs` and the `target` file."""
    job = json.loads(sys.argv[1])
    import tensorflow as tf

    keras = oracle(job["path"], job["weights"], job["keras_version"])
    # Runtimes sort inputs by name.
    specs = [tf.TensorSpec(shape, dtype, name=f"input_{i:03}") for i, (shape, dtype) in enumerate(job["inputs"])]
    target = Path(job["target"])
    part = target.with_name(f"{target.name}.part")
    part.write_bytes(CONVERTERS[target.suffix[1:]](keras, specs))
    part.replace(target)


if __name__ == "__main__":
    main()
