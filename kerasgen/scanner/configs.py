"""Scans the config of a model for what Keras would do with it."""

from __future__ import annotations

import builtins
import json
import math
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from kerasgen.bytecode import expression
from kerasgen.errors import InvalidModelError, UnsupportedModelError
from kerasgen.layers import RULES, UNSUPPORTED
from kerasgen.readers import dialect, jsonfile, multi_backend, tf_nodes
from kerasgen.readers.graph_config import is_model
from kerasgen.readers.keras_zip import leads_out
from kerasgen.readers.layer_names import KERAS_LAYERS
from kerasgen.scanner.risks import Finding

AGAIN = "\0again"  # the key of values whose own key is repeated
HUGE = 1 << 31  # elements; the largest arrays of weights have some hundred million
LONGEST = 80  # characters of a text to show
_LAYERS = KERAS_LAYERS | RULES.keys() | UNSUPPORTED.keys() | dialect.CLASSES.keys() | multi_backend.CLASSES.keys()
_LAYERS |= {*tf_nodes.CLASSES, "Functional", "Sequential"}
_PROGRAMS = {"TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"}
_FUNCTIONS = ("function", "mask", "output_shape")  # of a Lambda
# The modules of Keras that a config may name. The rest are tools, which a config could abuse.
_PARTS = r"activations applications\.convnext constraints distribution dtype_policies engine initializers layers losses"
_PARTS += " metrics mixed_precision models ops optimizers quantizers random regularizers"
_OWN = re.compile(
    rf"(tensorflow\.python\.|tf_)?keras(\.src)?(\.({'|'.join(_PARTS.split())})(\.\w+)*)?|builtins|__main__"
)
_TOOLS = {*sys.stdlib_module_names, "keras", "numpy", "tensorflow", "tf_keras"}
# The modules of TensorFlow that only compute.
_PURE = re.compile(r"ops\.tf\.(__operators__|bitwise|image|linalg|math|nn|random|signal|sparse|strings)\.\w+")
_PLACE = re.compile(r"[a-z][a-z0-9+.-]*://|~?/[^/\s]|\\\\\w|[a-z]:[\\/]|\.\.?[\\/]", re.IGNORECASE)
_FILES = {"filepath", "filename", "fname", "idf_weights", "origin", "path", "url", "vocabulary"}
_SIZES = {"batch_input_shape", "batch_shape", "filters", "input_dim", "max_tokens", "num_tokens", "output_dim", "units"}


def look_through(text: bytes | str, where: str) -> Iterator[Finding]:
    """Findings in the text of a config."""
    try:
        config = jsonfile.loads(text, where)
    except InvalidModelError as error:
        reason = str(error).removeprefix(f"{where}: ")
        yield Finding("ambiguous" if "twice" in reason else "damage", where, reason)
        config = _lenient(text)
    if _is_subclassed(config):
        yield Finding("class", where, f"the model {_short(config['class_name'])}, whose layers are not in the file")
    try:
        yield from _value("", config, where)
    except RecursionError:
        yield Finding("damage", where, "nested too deeply to be scanned")


def _is_subclassed(config: Any) -> bool:
    """Whether the outermost object is a model that only its author's code can build."""
    kind = config.get("class_name") if isinstance(config, dict) else None
    return isinstance(kind, str) and kind not in _LAYERS and not is_model(config)


def _lenient(text: bytes | str) -> Any:
    """Malformed JSON as far as it can be parsed; None if it cannot."""
    try:
        decoded = text if isinstance(text, str) else text.decode("utf-8-sig", "replace")
        return json.loads(decoded, object_pairs_hook=_with_all, parse_int=lambda digits: int(digits[:LONGEST]))
    except (ValueError, RecursionError):
        return None


def _with_all(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        result[AGAIN] = [value for key, value in pairs if value is not result[key]]
    return result


def _value(key: str, value: Any, where: str) -> Iterator[Finding]:
    """Findings in the value of this key."""
    if key in _SIZES and _cells(value) > HUGE:
        yield Finding("bomb", where, f"{key!r} is {_short(value)}")
    elif isinstance(value, dict):
        if isinstance(value.get("class_name"), str):
            where = _place(value, where)
            yield from _object(value, where)
            value = _without_lambda(value)
        for inner, item in value.items():
            yield from _value(inner, item, where)
    elif isinstance(value, list):
        for item in value:
            if not isinstance(item, str):  # strings in lists are names or data
                yield from _value(key, item, where)
    elif isinstance(value, str):
        yield from _text(key, value, where)


def _place(config: Mapping[str, Any], where: str) -> str:
    """The location of an object: its layer, possibly inside another one. Models are not named."""
    inner = config.get("config")
    name = config.get("name", inner.get("name") if isinstance(inner, dict) else None)
    return f"{where}: layer {_short(name)}" if isinstance(name, str) and _is_layer(config) else where


def _is_layer(config: Mapping[str, Any]) -> bool:
    inner = config.get("config")
    return isinstance(inner, dict) and not is_model(config) and ("inbound_nodes" in config or "trainable" in inner)


def _object(config: Mapping[str, Any], where: str) -> Iterator[Finding]:
    """What Keras would do to build this object."""
    kind, module = config["class_name"], config.get("module")
    name = str(config.get("registered_name") or kind)
    package, _, plain = name.rpartition(">")
    if plain == "Lambda":
        yield from _lambda(config.get("config"), where)
    elif kind == "__lambda__":
        yield Finding("code", where, "Python bytecode")
    elif plain in _PROGRAMS:
        yield Finding("program", where, f"a {plain}")
    elif kind in tf_nodes.CLASSES:
        yield from _tensorflow(config, where)
    elif _is_called(config, kind, module):
        yield Finding("import", where, f"{kind} {_short(config.get('config'))} of the module {_short(module)}")
    elif not (_is_keras(package, config) and _OWN.fullmatch(str(module or "keras")) and _is_known(config, plain)):
        yield Finding("class", where, f"the class {_short(name)}")


def _is_keras(package: str, config: Mapping[str, Any]) -> bool:
    """Whether Keras itself registers classes under this name: optimizers of tf_keras are `Custom>Adam`."""
    return package in ("", "Keras") or (package == "Custom" and not _is_layer(config))


def _is_known(config: Mapping[str, Any], name: str) -> bool:
    """Whether it is a layer or an operation of Keras, or not a layer at all."""
    return not _is_layer(config) or name in _LAYERS or f"ops.{name}" in _LAYERS


def _is_called(config: Mapping[str, Any], kind: str, module: Any) -> bool:
    """Whether it names a function or a tool in place of a Keras class."""
    if not isinstance(module, str):
        return False
    if kind == "function":
        return _is_tool(module) or (module == "builtins" and config.get("config") in vars(builtins))
    return _is_tool(module) or kind[:1].islower()


def _is_tool(module: str) -> bool:
    return module.partition(".")[0] in _TOOLS and not _OWN.fullmatch(module)


def _tensorflow(config: Mapping[str, Any], where: str) -> Iterator[Finding]:
    """A TensorFlow function in a model."""
    try:
        function = tf_nodes.kind(config)
    except (InvalidModelError, AttributeError, KeyError):
        yield Finding("damage", where, "a function of TensorFlow without a name")
        return
    if function not in RULES and not _PURE.fullmatch(function):
        yield Finding("function", where, f"calls {_short(function.removeprefix('ops.'))}")


def _lambda(config: Any, where: str) -> Iterator[Finding]:
    for part in _FUNCTIONS:
        function = config.get(part) if isinstance(config, dict) else None
        if _is_code(function):
            yield Finding("code", where, f"Python bytecode, the {part} of a Lambda{_reading(config, part)}")
        elif isinstance(function, str) or (isinstance(function, dict) and function.get("class_name") == "function"):
            yield Finding("class", where, f"a Lambda, whose {part} is not in the file")


def _without_lambda(config: dict[str, Any]) -> dict[str, Any]:
    """An object without the code of a Lambda, which is reported as a part of it."""
    inner = config.get("config")
    if str(config.get("registered_name") or config["class_name"]).rpartition(">")[2] != "Lambda" or not isinstance(
        inner, dict
    ):
        return config
    return {
        **config,
        "config": {key: item for key, item in inner.items() if key not in _FUNCTIONS or not _is_code(item)},
    }


def _is_code(function: Any) -> bool:
    """Whether an entry of a Lambda's config is code, as Keras 1 and 2 or Keras 3 write it."""
    if isinstance(function, dict):
        return function.get("class_name") == "__lambda__"
    return isinstance(function, list) and bool(function) and isinstance(function[0], str)


def _reading(config: Mapping[str, Any], part: str) -> str:
    """What a function of a Lambda computes, if it can be read."""
    try:
        return f": {expression(config, part).text}"
    except (InvalidModelError, UnsupportedModelError) as error:
        return f", which cannot be read: {error}"


def _text(key: str, text: str, where: str) -> Iterator[Finding]:
    if key in ("name", "registered_name", "class_name"):
        if leads_out(text):
            yield Finding("escape", where, f"the name {_short(text)} leads to another folder")
        elif not text.isprintable():
            yield Finding("name", where, f"the name {_short(text)} holds invisible characters")
    elif text and (key in _FILES or _PLACE.match(text)):
        yield Finding("path", where, f"{_short(key)} is {_short(text)}")


def _short(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _cells(value: Any) -> int:
    """The product of the whole numbers in a size or a shape."""
    sizes = value if isinstance(value, list) else [value]
    return math.prod(abs(size) for size in sizes if isinstance(size, int))
