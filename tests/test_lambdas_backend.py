"""`keras.backend`: each function that a Keras ever had there is read, or refused by its name with the reason."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import keras.src.legacy.backend
import pytest
import tensorflow as tf
import tf_keras

import kerasgen
from kerasgen.layers.functions import modules
from kerasgen.layers.functions.keras_backend import FUNCTIONS, REFUSED

# What Keras 1.2.2, 2.0.8, 2.2.4 and 2.3.1 had there, and no later version has.
ONCE = """
    asymmetric_spatial_2d_padding asymmetric_temporal_padding atrous_conv2d control_dependencies conv3d_transpose
    deconv2d eager get_session get_variable_shape identity image_dim_ordering is_placeholder is_symbolic is_tensor
    is_variable legacy_weight_ordering lesser lesser_equal logsumexp normalize_data_format separable_conv1d
    set_image_dim_ordering set_legacy_weight_ordering set_session size slice symbolic v1_variable_initialization
    """.split()


def public(module: Any, own: str = "") -> set[str]:
    """The functions of a module that are meant for others; of a module of Keras's own, those that it defines."""
    found = {name for name, item in vars(module).items() if callable(item) and not inspect.isclass(item)}
    return {name for name in found if name[0] != "_" and own in (getattr(vars(module)[name], "__module__", None) or "")}


NAMES = {
    *ONCE,
    *public(tf_keras.backend),
    *public(keras.backend),
    *public(tf.compat.v1.keras.backend),
    *public(keras.src.legacy.backend, "keras.src.legacy"),
}
RANDOM = {"dropout", "truncated_normal", *(name for name in NAMES if name.startswith("random_"))}


def test_every_function_is_settled() -> None:
    assert len(NAMES) > 170
    assert {name for name in NAMES if modules.function(f"keras.backend.{name}") is None} == set()
    assert not FUNCTIONS.keys() & REFUSED.keys()
    assert FUNCTIONS.keys() | REFUSED.keys() | RANDOM == NAMES | {"local_conv"}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_is_refused(name: str) -> None:
    known = modules.function(f"keras.backend.{name}")
    assert known is not None
    with pytest.raises(kerasgen.UnsupportedModelError, match=rf"keras\.backend\.{name} \w+.*, which is not supported"):
        known(None, 1, axis=2)
