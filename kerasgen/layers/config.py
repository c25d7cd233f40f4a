"""Typed access to a layer's config: a wrong type or value is the file's fault and is reported as such."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kerasgen.errors import InvalidModelError

REQUIRED: Any = object()
LARGEST = 2**31  # sizes in real configs are far smaller


class Config:
    """One layer's settings. A getter without a default requires the key.

    Raises InvalidModelError if a value has the wrong type or is out of range.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def get(self, key: str, default: Any = REQUIRED) -> Any:
        """The value as it is."""
        value = self._values.get(key, default)
        if value is REQUIRED:
            raise InvalidModelError(f"its config lacks {key!r}")
        return value

    def integer(self, key: str, default: Any = REQUIRED, *, least: int = 1, below: int = LARGEST) -> int:
        """An integer, at least `least`; `below` bounds the sizes of arrays."""
        value = self._int(key, self.get(key, default), least)
        if value >= below:
            raise self._wrong(key, value, f"a number below {below}")
        return value

    def integers(self, key: str, count: int, default: Any = REQUIRED, *, least: int = 1) -> tuple[int, ...]:
        """`count` integers; a single number stands for `count` equal ones."""
        value = self.get(key, default)
        values = value if isinstance(value, (list, tuple)) else [value] * count
        if len(values) != count:
            raise self._wrong(key, value, f"{count} numbers")
        return tuple(self._int(key, item, least) for item in values)

    def axes(self, key: str, default: Any = REQUIRED) -> tuple[int, ...]:
        """One axis or several."""
        value = self.get(key, default)
        values = value if isinstance(value, (list, tuple)) else [value]
        return tuple(self._int(key, item, -LARGEST) for item in values)

    def one_axis(self, key: str = "axis", default: Any = REQUIRED) -> int:
        """One axis, possibly a one-element list."""
        axes = self.axes(key, default)
        if len(axes) != 1:
            raise self._wrong(key, self.get(key, default), "one axis")
        return axes[0]

    def axis(self, key: str = "axis", default: Any = None) -> int | tuple[int, ...] | None:
        """One axis, several, or None for all."""
        value = self.get(key, default)
        if value is None:
            return None
        axes = self.axes(key, default)
        return axes if isinstance(value, (list, tuple)) else axes[0]

    def sizes(self, key: str) -> tuple[int, ...]:
        """The sizes of a shape, -1 for open ones."""
        values = self.get(key)
        if not isinstance(values, (list, tuple)):
            raise self._wrong(key, values, "a list of sizes")
        return tuple(-1 if size is None else self._int(key, size, -1) for size in values)

    def edges(self, key: str, rank: int, default: Any = REQUIRED) -> tuple[tuple[int, int], ...]:
        """The widths before and after each spatial axis: from one number, one per axis, or a pair per axis."""
        value = self.get(key, default)
        if not isinstance(value, (list, tuple)):
            value = [value] * rank
        elif rank == 1 and len(value) == 2:
            value = [value]  # Keras writes the only pair without a list around it
        if len(value) != rank:
            raise self._wrong(key, value, f"{rank} numbers or pairs")
        pairs = [item if isinstance(item, (list, tuple)) else (item, item) for item in value]
        if any(len(pair) != 2 for pair in pairs):
            raise self._wrong(key, value, f"{rank} numbers or pairs")
        return tuple((self._int(key, a, 0), self._int(key, b, 0)) for a, b in pairs)

    def number(self, key: str, default: Any = REQUIRED) -> float:
        """A finite number."""
        return self._number(key, self.get(key, default))

    def numbers(self, key: str, count: int | None = None, default: Any = REQUIRED) -> tuple[float, ...]:
        """A list of finite numbers, `count` of them unless it is None."""
        values = self.get(key, default)
        if not isinstance(values, (list, tuple)) or count not in (None, len(values)):
            raise self._wrong(key, values, "a list of numbers" if count is None else f"{count} numbers")
        return tuple(self._number(key, value) for value in values)

    def flag(self, key: str, default: Any = REQUIRED) -> bool:
        """True or false."""
        value = self.get(key, default)
        if not isinstance(value, bool):
            raise self._wrong(key, value, "true or false")
        return value

    def choice(self, key: str, options: Sequence[str], default: Any = REQUIRED) -> str:
        """One of the options."""
        value = self.get(key, default)
        if value not in options:
            raise self._wrong(key, value, f"one of {', '.join(options)}")
        return str(value)

    def _number(self, key: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < float("inf"):
            raise self._wrong(key, value, "a number")
        return float(value)

    def _int(self, key: str, value: Any, least: int) -> int:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value < LARGEST:
            raise self._wrong(key, value, "a whole number" if least < 0 else f"a whole number from {least}")
        return value

    def _wrong(self, key: str, value: Any, expected: str) -> InvalidModelError:
        return InvalidModelError(f"its config has {key} = {ascii(value)[:80]}, not {expected}")
