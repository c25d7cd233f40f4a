"""TensorFlow functions in tf.keras models, as calls of operations named `ops.tf.<function>`.

Since 2.4 a function is a layer, `TFOpLambda`, which holds its name. Before, it became nodes of TensorFlow's graph, each
a `TensorFlowOpLayer` that holds the node; these become `raw_ops.<operation>`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

from kerasgen.errors import InvalidModelError
from kerasgen.readers.model import Call

CLASSES = ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer")
# Arguments that have other names in TensorFlow 1.
_OLD_NAMES = {"keep_dims": "keepdims", "reduction_indices": "axis", "dim": "axis", "dimension": "axis"}
# Attributes that repeat the inputs' dtypes or number, choose between equivalent computations, or are for training.
_IRRELEVANT = re.compile(
    r"_.*|T[A-Za-z]*|N|Index|SrcT|U|Truncate|use_cudnn_on_gpu|index_type|incompatible_shape_error|grad_[abxy]"
)

_TYPES = {"float": "float32", "double": "float64", "half": "float16"}


def kind(data: Mapping[str, Any]) -> str:
    """The operation of such a layer."""
    config = data["config"]
    if data["class_name"] == "TensorFlowOpLayer":
        return f"ops.tf.raw_ops.{_node(config)['op']}"
    name = config.get("function", "__operators__.getitem" if data["class_name"] == "SlicingOpLambda" else None)
    if not isinstance(name, str):
        raise InvalidModelError("its config names no function")
    return f"ops.tf.{name.removeprefix('compat.v1.')}"


def call(data: Mapping[str, Any], written: Call) -> Call:
    """A call with the function's own arguments; `written` has its tensors."""
    if data["class_name"] != "TensorFlowOpLayer":
        return Call(written.args, {_OLD_NAMES.get(k, k): item for k, item in written.kwargs.items() if k != "name"})
    inputs = written.args[0] if isinstance(written.args[0], list) else list(written.args)
    constants = {int(index): value for index, value in (data["config"].get("constants") or {}).items()}
    rest = iter(inputs)
    args = [constants[i] if i in constants else next(rest) for i in range(len(inputs) + len(constants))]
    attrs = {name: _attribute(item) for name, item in (_node(data["config"]).get("attr") or {}).items()}
    explicit = attrs.pop("explicit_paddings", None)
    if explicit:
        attrs["padding"] = [explicit[i : i + 2] for i in range(0, len(explicit), 2)]
    return Call(tuple(args), {name: item for name, item in attrs.items() if not _IRRELEVANT.fullmatch(name)})


def _node(config: Mapping[str, Any]) -> Mapping[str, Any]:
    node = config.get("node_def")
    if not isinstance(node, Mapping) or not isinstance(node.get("op"), str):
        raise InvalidModelError("its node_def is missing or not JSON")
    return node


def _attribute(written: Mapping[str, Any]) -> Any:
    """An attribute's value: protobuf's JSON names its type, and writes integers and bytes as strings."""
    ((form, value),) = written.items()
    if form == "i":
        return int(value)
    if form == "f":
        return float(value)
    if form == "s":
        return base64.b64decode(value).decode()
    if form == "type":
        name = str(value).removeprefix("DT_").lower()
        return _TYPES.get(name, name)
    if form == "list":
        return [_attribute({key: item}) for key, items in value.items() for item in items]
    return value
