"""Settings in messages: the API names them as Python does, the command line as flags."""

from __future__ import annotations

import ast
import re
from collections.abc import Container
from typing import Any

from kerasgen.names import printable

OPTIONS = frozenset("""
    arch custom defines force form input_shape inputs keep keep_failed labels max_loss minimal name numpy optimize
    outputs preprocess pyodide python rename run_lambdas store streaming strict target theano_kernels tiled tunable tune
    tune_batch verify version weights weights_dtype
    """.split())
_NAMES = {"defines": "define", "form": "as"}  # where the flag has another name
_SETTING = re.compile(r"`(\w+)=(\{.*?: (?:function|value)\}|[^`]+)`")
_FUNCTION = re.compile(r"\{(.*): (function|value)\}")


def flags(text: str) -> str:
    """The text with every setting in backticks as this command line has it.

    `force=True` is --force, `verify=False` is --no-verify, `store='sidecar'` is --store sidecar, and
    `custom={'Odd': function}` is --custom Odd=module:function, `defines={'SIZE': value}` is --define SIZE=value,
    `outputs=['a', 'b']` is --outputs a,b, and `input_shape=(None, 8)` is --input-shape ?x8.
    """
    return _SETTING.sub(_flag, text)


def flags_in(data: Any, keys: Container[str], below: bool = False) -> Any:
    """Plain data, with flags in the texts under these keys."""
    if isinstance(data, dict):
        return {key: flags_in(item, keys, below or key in keys) for key, item in data.items()}
    if isinstance(data, (list, tuple)):
        return [flags_in(item, keys, below) for item in data]
    return flags(data) if below and isinstance(data, str) else data


def _flag(setting: re.Match[str]) -> str:
    name, value = setting.groups()
    function = _FUNCTION.fullmatch(value)
    try:
        literal = ast.literal_eval(function[1] if function else value)
    except (SyntaxError, ValueError):
        return setting[0]
    if name not in OPTIONS:
        return setting[0]
    flag = _NAMES.get(name, name).replace("_", "-")
    if literal is True or literal is False:
        return f"--{flag}" if literal else f"--no-{flag}"
    if isinstance(literal, list):
        literal = ",".join(map(str, literal))
    elif isinstance(literal, tuple):
        literal = "x".join("?" if size is None else str(size) for size in literal)
    end = {"function": "=module:function", "value": "=value"}[function[2]] if function else ""
    return printable(f"--{flag} {literal}{end}")
