"""Strict JSON: what Keras writes, and nothing that JSON parsers disagree about.

Keras writes infinities (orders of norms, limits of `clip`) and NaN as Python spells them.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any

from kerasgen.errors import InvalidModelError
from kerasgen.readers.content import reason

_MAX_DIGITS = 40  # no setting of a layer has more


def loads(text: bytes | str, where: str) -> Any:
    """The value of `text`. InvalidModelError, naming `where`, if it is malformed, ambiguous or absurd."""
    try:
        decoded = text if isinstance(text, str) else text.decode("utf-8-sig")
        value = json.loads(decoded, object_pairs_hook=_object, parse_int=_integer, parse_float=_real)
        json.dumps(value, ensure_ascii=False).encode()  # fails for a lone surrogate
    except RecursionError:
        raise InvalidModelError(f"{where}: malformed JSON: nested too deeply") from None
    except (UnicodeError, ValueError) as error:
        raise InvalidModelError(f"{where}: malformed JSON: {reason(error)}") from error
    return value


def document(text: bytes | str, where: str) -> Any:
    """The value of a file, or of the JSON text that is its value: `json.dump(model.to_json(), file)` writes that."""
    value = loads(text, where)
    return loads(value, where) if isinstance(value, str) else value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {twice!r} appears twice in one object")
    return result


def _integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise ValueError(f"an integer of {len(digits)} digits")
    return int(digits)


def _real(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"the number {digits[:_MAX_DIGITS]} is too large")
    return value
