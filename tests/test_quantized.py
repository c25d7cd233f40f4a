"""Quantisation: the kernels against Keras's own functions, what is stored, and what is refused."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import keras
import ml_dtypes
import numpy as np
import pytest
from keras import layers as L
from keras import quantizers
from support import randomize, relative_error

from kerasgen import kernels
from kerasgen.builder import build
from kerasgen.errors import InvalidModelError, UnsupportedModelError
from kerasgen.readers import read
from kerasgen.readers.model import Call, LayerSpec, ModelFile, ModelSpec, Ref


def quantized(model: Any, path: Path, **how: Any) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about layers that cannot be quantised, and about the file format
        randomize(model).quantize(**how)
        model.save(path)
    return path


# kernels
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize(("size", "axis"), [(6, -1), (5, -1), (4, 0), (3, 0), (3, 1)])
def test_unpack_int4(size: int, axis: int, *, signed: bool) -> None:
    shape = [2, 3, 4]
    shape[axis] = (size + 1) // 2
    dtype = "int8" if signed else "uint8"
    packed = np.random.RandomState(0).randint(0, 256, shape).astype("uint8").astype(dtype)
    expected = np.asarray(quantizers.unpack_int4(packed, size, axis=axis, dtype=dtype))
    result = kernels.unpack_int4(packed, size=size, axis=axis, signed=signed)
    assert result.dtype == expected.dtype
    np.testing.assert_array_equal(result, expected)


def test_unpack_int4_knows_every_byte() -> None:
    every = np.arange(256).astype("uint8").astype("int8").reshape(1, 256)
    result = kernels.unpack_int4(every, size=512)
    np.testing.assert_array_equal(result, np.asarray(quantizers.unpack_int4(every, 512, axis=-1)))
    repacked, _, _ = quantizers.pack_int4(result, axis=-1)
    np.testing.assert_array_equal(np.asarray(repacked), every)


def floats(largest: float) -> np.ndarray:
    """Numbers of all magnitudes, ties between neighbours in 8 bits among them."""
    random = np.random.RandomState(1)
    exponents = random.uniform(-16, np.log2(largest), 20_000)
    ties = np.concatenate([np.arange(0, 40) * 2.0**-11, np.arange(0, 64) / 32 * 2.0 ** random.randint(-6, 7, 64)])
    drawn = np.concatenate([2.0**exponents, ties, [0.0, largest]])
    return np.concatenate([drawn, -drawn]).astype("float32")


@pytest.mark.parametrize("scale", [1.0, 0.37, 12.5])
def test_round_float8(scale: float) -> None:
    x, factor = floats(900.0), np.asarray(scale, "float32")
    expected = np.asarray(quantizers.quantize_and_dequantize(x, factor, "float8_e4m3fn", "float32"))
    result = kernels.round_float8(x, factor)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, expected)


def test_round_bfloat16() -> None:
    x = floats(1e30)
    np.testing.assert_array_equal(kernels.round_bfloat16(x), x.astype(ml_dtypes.bfloat16).astype("float32"))


@pytest.mark.parametrize("axis", [(-1,), (1,), (1, 2)])
def test_round_levels(axis: tuple[int, ...]) -> None:
    x = np.random.RandomState(2).standard_normal((3, 4, 5)).astype("float32")
    x[0, 0] = 0.0
    levels, scale = (np.asarray(part) for part in quantizers.abs_max_quantize(x, axis))
    assert relative_error(kernels.round_levels(x, axis=axis), levels / scale) <= 1e-6
    assert kernels.round_levels(x[:0], axis=axis).shape == (0, 4, 5)


# what is stored
@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_weights_stay_as_small_as_in_the_file(ending: str, tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((8,)), L.Dense(7)])
    graph = build(read(quantized(model, tmp_path / f"model.{ending}", mode="int8"))).bind()
    assert {str(array.dtype) for name, array in graph.weights.items() if name.endswith("/kernel")} == {"int8"}


# what is refused
def graph_of(config: dict[str, Any], kind: str = "Dense") -> Any:
    shape = {"batch_shape": (None, 6), "dtype": "float32"}
    layers = (
        LayerSpec("x", "InputLayer", shape, (Call(),)),
        LayerSpec("y", kind, config, (Call((Ref("x"),)),)),
    )
    return build(ModelFile("model.h5", "3.15.1", ModelSpec("m", "Functional", layers, Ref("x"), Ref("y")), None))  # type: ignore[arg-type]


def test_a_quantizer_of_someone_else() -> None:
    quantizer = {"class_name": "Mine", "config": {}}
    settings = {"class_name": "Int8QuantizationConfig", "config": {"activation_quantizer": quantizer}}
    built = graph_of({"units": 3, "dtype": "int8_from_float32", "quantization_config": settings})
    assert "'Mine'" in built.problems[0]
    with pytest.raises(UnsupportedModelError):
        built.bind()


@pytest.mark.parametrize(
    ("kind", "config", "message"),
    [
        ("Dense", {"units": 3, "dtype": "gptq_from_float32"}, "bits and group size"),
        ("Dense", {"units": 3, "dtype": "awq/4_from_float32"}, "bits and group size"),
        ("Embedding", {"input_dim": 3, "output_dim": 2, "dtype": "float8_from_float32"}, "cannot be quantised"),
        (
            "Dense",
            {
                "units": 3,
                "dtype": "int8_from_float32",
                "quantization_config": {
                    "class_name": "Int8QuantizationConfig",
                    "config": {
                        "activation_quantizer": {"class_name": "AbsMaxQuantizer", "config": {"value_range": 3.5}}
                    },
                },
            },
            "value_range",
        ),
        ("Dense", {"units": 3, "dtype": "int8_from_float32", "quantization_config": [1]}, "quantization_config"),
    ],
)
def test_a_broken_policy(kind: str, config: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidModelError, match=message):
        graph_of(config, kind)


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_attention_whose_config_does_not_tell(ending: str, tmp_path: Path) -> None:
    """Keras 3.15 quantises the parts of an attention and does not say so in its config; it cannot load the file."""
    x = keras.Input((5, 4))
    model = keras.Model(x, L.MultiHeadAttention(2, 3, name="mha")(x, x))
    path = quantized(model, tmp_path / f"model.{ending}", mode="int8")
    with pytest.raises(InvalidModelError, match="'mha' has"):
        build(read(path)).bind()


def test_zero_points_that_keras_left_out(tmp_path: Path) -> None:
    """Keras 3.15 forgets them in `.keras` files (keras#23321)."""
    model = randomize(keras.Sequential([keras.Input((8,)), L.Dense(6, name="d")]))
    config = quantizers.GPTQConfig(dataset=None, tokenizer=None, group_size=4)
    layer = model.layers[0]
    layer.quantize("gptq", config=config)
    del layer._kernel
    layer.is_gptq_calibrated = True
    model.save(tmp_path / "model.keras")
    with pytest.raises(InvalidModelError, match="kernel_zero"):
        build(read(tmp_path / "model.keras")).bind()
