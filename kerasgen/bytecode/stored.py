"""The function of a Lambda layer as its config has it, whichever Keras wrote it."""

from __future__ import annotations

import base64
import binascii
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasgen.bytecode.codeobject import Code, Malformed, as_of, layout, load
from kerasgen.bytecode.expression import Expression
from kerasgen.bytecode.opcodes import VERSIONS, Version
from kerasgen.bytecode.stack import Unreadable
from kerasgen.bytecode.symbolic import run
from kerasgen.errors import InvalidModelError, UnsupportedModelError

_LAYOUTS = {first: list(group) for first, group in itertools.groupby(VERSIONS, layout)}
LONGEST = 1 << 17  # characters of code in base64


@dataclass(frozen=True)
class Stored:
    """A function's code, the defaults of its last arguments, and the values of its free variables."""

    code: bytes
    defaults: tuple[Any, ...]
    closure: tuple[Any, ...]


def stored(function: Any) -> Stored:
    """The function in a Lambda's config. Raises UnsupportedModelError if the file has but its name."""
    if isinstance(function, Mapping) and function.get("class_name") == "__lambda__":
        config = function.get("config")
        parts = [config.get(key) for key in ("code", "defaults", "closure")] if isinstance(config, Mapping) else []
    elif isinstance(function, (list, tuple)):
        parts = list(function)
    elif isinstance(function, Mapping) and function.get("class_name") == "__tensor__":  # the mask of any input
        raise UnsupportedModelError("it is a tensor, not a function")
    else:
        raise UnsupportedModelError(f"the file has the name of its function, {_name(function)}, but not its code")
    code, defaults, closure = [*parts, None, None, None][:3]
    if not isinstance(code, str) or not all(
        isinstance(item, (list, tuple, type(None))) for item in (defaults, closure)
    ):
        raise InvalidModelError("its function is no code, defaults and closure")
    return Stored(_decoded(code), tuple(defaults or ()), tuple(closure or ()))


def _name(function: Any) -> str:
    """What the config says in the place of code."""
    inner = function.get("config") if isinstance(function, Mapping) else function
    name = inner.get("name", inner.get("class_name")) if isinstance(inner, Mapping) else inner
    return ascii(name)[:80]


def _decoded(text: str) -> bytes:
    """The bytes of code: base64, or up to Keras 2.0.8 a character for each byte."""
    if len(text) > LONGEST:
        raise InvalidModelError(f"its code has {len(text)} characters, which no function of a layer has")
    try:
        if text.startswith(("c", "\xe3")):  # as code begins, which base64 of code does not
            return text.encode("raw_unicode_escape")
        return base64.b64decode(text.encode("ascii"))
    except (UnicodeEncodeError, binascii.Error) as error:
        raise InvalidModelError("the text of its code is neither base64 nor bytes") from error


def arguments(config: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword arguments in a Lambda's config; old versions of Keras write arrays in a way of their own."""
    written = config.get("arguments") or {}
    if not isinstance(written, Mapping):
        raise InvalidModelError("its arguments have no names")
    return {str(name): _argument(item) for name, item in written.items()}


def _argument(item: Any) -> Any:
    if not isinstance(item, Mapping) or item.get("type") != "ndarray":
        return item
    try:
        return np.asarray(item["value"], float)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidModelError("one of its arguments is a malformed array") from error


def code_of(function: Stored, version: Version) -> bytes:
    """The bytes of a function's code, if this version of Python can have written it; raises UnsupportedModelError."""
    found = [each for each, _ in _readings(function, {}, 1)[0]]
    if version in found:
        return function.code
    written = ", ".join(f"{major}.{minor}" for major, minor in found) or "no known version"
    raise UnsupportedModelError(f"its code is of Python {written}, not {version[0]}.{version[1]}")


def read(function: Stored, arguments: Mapping[str, Any], given: int = 1) -> Expression:
    """The expression that a function computes, which Keras calls with as many arguments as `given`, and with these.

    The file does not say which Python wrote the code: every version is tried whose `marshal` and whose instructions it
    can be. Raises UnsupportedModelError where it is no plain expression, means different things to them, or is of none.
    """
    found, reason = _readings(function, arguments, given)
    if not found:
        raise UnsupportedModelError(f"no Python from 2.7 to 3.14 has written its code: {reason}")
    readings = {item.key() if isinstance(item, Expression) else str(item) for _, item in found}
    if len(readings) > 1:
        names = ", ".join(f"{major}.{minor}" for (major, minor), _ in found)
        raise UnsupportedModelError(f"its code does not mean the same in Python {names}")
    _, reading = found[0]
    if isinstance(reading, Unreadable):
        raise reading
    return reading


def _readings(
    function: Stored, arguments: Mapping[str, Any], given: int
) -> tuple[list[tuple[Version, Expression | Unreadable]], Malformed | None]:
    """What a function means to each version that can have written it; and why the last one of the others cannot."""
    found: list[tuple[Version, Expression | Unreadable]] = []
    reason: Malformed | None = None
    for first, versions in _LAYOUTS.items():
        try:
            code = load(function.code, first)
        except Malformed as error:
            reason = error
            continue
        for version in versions:
            try:
                found.append((version, _read(as_of(code, version), function, arguments, given)))
            except Malformed as error:
                reason = error
    return found, reason


def _read(code: Code, function: Stored, arguments: Mapping[str, Any], given: int) -> Expression | Unreadable:
    try:
        return run(code, arguments, function.defaults, function.closure, given)
    except Unreadable as error:
        return error


def expression(config: Mapping[str, Any], key: str = "function") -> Expression:
    """The expression of a Lambda's function, or of its mask's. Raises what `stored` and `read` raise."""
    function = stored(config.get(key))
    return read(function, {}, given=2) if key == "mask" else read(function, arguments(config))
