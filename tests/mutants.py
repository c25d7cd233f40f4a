"""Mutants of a right module: one array of its weights altered, or one line of its code."""

from __future__ import annotations

import ast
import copy
import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np

from kerasgen.emit.module import Module
from kerasgen.emit.weights import split

PLACES = 3  # in an array where one filter, row or pair of channels is altered
SPANS = ("strides", "dilation")  # settings that are a number for each axis
PADS = ("pad", "border", "crop")  # settings that are (before, after) for each axis
SATURATING = ("softmax", "sigmoid", "tanh", "hard_sigmoid", "log_softmax")
RECURRENT = ("simple_rnn", "lstm", "gru", "conv_lstm")
OTHER_SIGNS: Mapping[type, type] = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult}


@dataclass(frozen=True)
class Mutant:
    """One change to a module: a new array for `name`, or `line` in place of some lines of its code."""

    kind: str
    what: str
    name: str = ""
    array: Any = None
    line: str = ""
    lines: Any = None


class Original:
    """A right module as stored in its file: the text, the arrays, and the changes that can be made to them."""

    def __init__(self, data: bytes) -> None:
        self.text, npz = split(data)
        self.tree = ast.parse(self.text)
        self.arrays: dict[str, np.ndarray] = {}
        if npz:
            with np.load(io.BytesIO(npz), allow_pickle=False) as arrays:
                self.arrays = {name: arrays[name] for name in arrays.files}

    def mutants(self, random: Random) -> list[Mutant]:
        """Every mutant there is, in random order, but the kinds take turns."""
        kinds: dict[str, list[Mutant]] = {}
        for mutant in (*_altered_weights(self.arrays, random), *self._altered_lines()):
            kinds.setdefault(mutant.kind, []).append(mutant)
        for mutants in kinds.values():
            random.shuffle(mutants)
        rounds = range(max(map(len, kinds.values()), default=0))
        return [mutants[i] for i in rounds for mutants in kinds.values() if i < len(mutants)]

    def file(self, mutant: Mutant) -> bytes:
        """The bytes of the mutant's own module."""
        packed, written = io.BytesIO(), io.BytesIO()
        arrays: dict[str, Any] = {**self.arrays, mutant.name: mutant.array} if mutant.name else self.arrays
        np.savez(packed, **arrays)
        Module(self.text_of(mutant), packed.getvalue(), embedded=bool(arrays)).write(written)
        return written.getvalue()

    @contextmanager
    def applied(self, module: Any, mutant: Mutant) -> Iterator[None]:
        """Make the loaded module the mutant for a while, without loading all of it again."""
        scope, loader = vars(module), module.__spec__.loader
        before, weights, source = dict(scope), dict(scope.get("W", {})), loader.source
        try:
            if mutant.name:
                scope["W"][mutant.name] = mutant.array
                _run("\n".join(self._lines(s) for s in self.tree.body if _laid_out(s) == mutant.name), scope)
            else:
                (changed,) = (s for s in self.tree.body if s.lineno <= mutant.lines.start + 1 <= (s.end_lineno or 0))
                if _laid_out(changed):
                    scope["W"][_laid_out(changed)] = self.arrays[_laid_out(changed)]
                lines = self._lines(changed).split("\n")
                offset = changed.lineno - 1
                lines[mutant.lines.start - offset : mutant.lines.stop - offset] = [mutant.line]
                _run("\n".join(lines), scope)
                loader.source = self.text_of(mutant).encode()
            yield
        finally:
            loader.source = source
            scope.get("W", {}).update(weights)
            scope.update(before)

    def text_of(self, mutant: Mutant) -> str:
        """The code of the mutant."""
        lines = self.text.split("\n")
        if mutant.line:
            lines[mutant.lines] = [mutant.line]
        return "\n".join(lines)

    def _lines(self, statement: ast.stmt) -> str:
        return "\n".join(self.text.split("\n")[statement.lineno - 1 : statement.end_lineno])

    def _altered_lines(self) -> Iterator[Mutant]:
        shapes = {name: array.shape for name, array in self.arrays.items()}
        for statement in self.tree.body:
            if isinstance(statement, ast.FunctionDef) and statement.name == "predict":
                names = [arg.arg for arg in statement.args.args]
                for line in statement.body[1:]:
                    if isinstance(line, (ast.Assign, ast.Return)):
                        yield from self._changes(line, names, shapes)
                        names += [n.id for n in ast.walk(line) if isinstance(n, ast.Name) and _stored(n)]
            elif _laid_out(statement):
                yield from self._changes(statement, [], {})

    def _changes(self, line: ast.stmt, names: list[str], shapes: Mapping[str, Any]) -> Iterator[Mutant]:
        old = " ".join(self._lines(line).split())
        seen = {ast.unparse(line)}
        for index, node in enumerate(ast.walk(line)):
            for kind, change in _node_changes(node, names, shapes):
                changed = copy.deepcopy(line)
                change(list(ast.walk(changed))[index])
                new = ast.unparse(ast.fix_missing_locations(changed))
                if new in seen:
                    continue
                seen.add(new)
                lines = slice(line.lineno - 1, line.end_lineno)
                yield Mutant(f"line: {kind}", f"{old} -> {new}", line=" " * line.col_offset + new, lines=lines)


def logits_form(tree: ast.Module) -> ast.FunctionDef:
    """`predict` without the saturating activation that ends it, where one does."""
    (predict,) = (s for s in tree.body if isinstance(s, ast.FunctionDef) and s.name == "predict")
    predict = copy.deepcopy(predict)
    predict.name = "logits"
    returned = {n.id for n in ast.walk(predict.body[-1]) if isinstance(n, ast.Name)}
    read = [n.id for line in predict.body[:-1] for n in ast.walk(line) if isinstance(n, ast.Name) and not _stored(n)]
    for line in predict.body:
        last = isinstance(line, ast.Return)
        if isinstance(line, ast.Assign):
            targets = {n.id for n in ast.walk(line) if isinstance(n, ast.Name) and _stored(n)}
            last = targets <= returned - set(read)
        if last and isinstance(getattr(line, "value", None), ast.Call):
            line.value = _unsaturated(line.value)  # type: ignore[attr-defined]
    return predict


def _unsaturated(call: ast.Call) -> ast.expr:
    if isinstance(call.func, ast.Name) and call.func.id in SATURATING and call.args:
        return call.args[0]
    if getattr(call.func, "id", "") in RECURRENT:  # it acts inside of them
        return call
    call.keywords = [k for k in call.keywords if k.arg != "activation" or getattr(k.value, "id", "") not in SATURATING]
    return call


def _run(text: str, scope: dict[str, Any]) -> None:
    exec(compile(text, scope["predict"].__code__.co_filename, "exec"), scope)


def _stored(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Store)


def _laid_out(statement: ast.stmt) -> str:
    """Which array this line of a module brings into another layout, if it does."""
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Subscript):
        return str(ast.literal_eval(statement.targets[0].slice))
    return ""


def _altered_weights(arrays: Mapping[str, np.ndarray], random: Random) -> Iterator[Mutant]:
    for name, array in arrays.items():
        if array.dtype.kind not in "fc" or not array.size:
            continue
        kinds = _MATRIX if array.ndim > 1 else _VECTOR
        seen = {array.tobytes()}
        for kind, change in [*kinds.items()] * PLACES:
            changed = array.copy()
            what = change(changed, random)
            if changed.tobytes() not in seen:
                seen.add(changed.tobytes())
                yield Mutant(f"weights: {kind}", f"{name} {array.shape}{what}", name, changed)


def _scaled(array: np.ndarray, random: Random) -> str:
    array *= 1.05
    return ""


def _doubled(array: np.ndarray, random: Random) -> str:
    array += array
    return ""


def _negative(array: np.ndarray, random: Random) -> str:
    array *= -1
    return ""


def _zero(array: np.ndarray, random: Random) -> str:
    array[...] = 0
    return ""


def _negative_filter(array: np.ndarray, random: Random) -> str:
    f = random.randrange(array.shape[-1])
    array[..., f] *= -1
    return f"[..., {f}]"


def _zero_filter(array: np.ndarray, random: Random) -> str:
    f = random.randrange(array.shape[-1])
    array[..., f] = 0
    return f"[..., {f}]"


def _negative_row(array: np.ndarray, random: Random) -> str:
    c = random.randrange(array.shape[-2])
    array[..., c, :] *= -1
    return f"[..., {c}, :]"


def _swapped(array: np.ndarray, random: Random) -> str:
    if array.shape[-1:] in ((), (1,)):
        return ""
    f, g = random.sample(range(array.shape[-1]), 2)
    array[..., [f, g]] = array[..., [g, f]]
    return f"[..., {f}] and [..., {g}]"


Alter = Callable[[np.ndarray, Random], str]
_MATRIX: Mapping[str, Alter] = {
    "scaled by 1.05": _scaled,
    "a filter's sign": _negative_filter,
    "a row's sign": _negative_row,
    "a filter zero": _zero_filter,
    "two channels swapped": _swapped,
}
_VECTOR: Mapping[str, Alter] = {
    "bias doubled": _doubled,
    "bias's sign": _negative,
    "bias zero": _zero,
    "bias swapped": _swapped,
}

Change = tuple[str, Callable[[Any], None]]


def _node_changes(node: ast.AST, names: list[str], shapes: Mapping[str, Any]) -> Iterator[Change]:
    """What can be altered at one place of a line, as a kind and a function that does it to a copy of the place."""
    if isinstance(node, (ast.Assign, ast.Return)):
        yield from _line_changes(node)
    elif isinstance(node, ast.Call):
        yield from _call_changes(node)
    elif isinstance(node, ast.keyword):
        yield from _setting_changes(node)
    elif isinstance(node, ast.BinOp):
        yield "operands", _exchange
        if type(node.op) in OTHER_SIGNS:
            yield "operator", _other_sign
    elif isinstance(node, ast.Name) and not _stored(node) and node.id in names:
        yield from (("value", _renamed(name)) for name in dict.fromkeys(names) if name != node.id)
    elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and node.slice.value in shapes:
        same = [name for name, shape in shapes.items() if shape == shapes[node.slice.value]]
        yield from (("weight", _other_weight(name)) for name in same[:4] if name != node.slice.value)


def _line_changes(line: ast.Assign | ast.Return) -> Iterator[Change]:
    call = line.value
    if isinstance(call, ast.Call) and len(call.args) == 1 and not {k.arg for k in call.keywords} - {"out"}:
        yield "activation", lambda line: setattr(line, "value", line.value.args[0])


def _call_changes(call: ast.Call) -> Iterator[Change]:
    if getattr(call.func, "id", "") in ("as_input", "buffers", "together"):
        return
    for i in range(len(call.args) - 1):
        yield "operands", _exchanged(i)
    for i, keyword in enumerate(call.keywords):
        if keyword.arg == "activation":
            yield "activation", lambda call, i=i: call.keywords.pop(i)
    for i, item in enumerate(call.args):
        if isinstance(item, ast.Constant):
            yield from _constant_changes(lambda call, i=i: call.args[i])


def _setting_changes(keyword: ast.keyword) -> Iterator[Change]:
    try:
        value = ast.literal_eval(keyword.value)
    except ValueError:
        return
    if keyword.arg in SPANS and isinstance(value, tuple):
        yield "stride", _set(tuple(n + 1 if n == 1 else n - 1 for n in value))
        yield "stride", _set((*value[:-1], value[-1] + 1))
    elif keyword.arg in PADS and isinstance(value, tuple):
        for i, (a, b) in enumerate(value):
            if a + b:
                moved = (a + 1, b - 1) if b else (a - 1, b + 1)
                yield "pad", _set((*value[:i], moved, *value[i + 1 :]))
    elif isinstance(value, tuple) and all(isinstance(n, (int, float)) for n in value):
        for i, n in enumerate(value):
            yield "constant", _set((*value[:i], _other(n), *value[i + 1 :]))
    elif isinstance(value, (bool, int, float)):
        yield "constant", _set(_other(value))


def _constant_changes(place: Callable[[Any], Any]) -> Iterator[Change]:
    def change(node: Any) -> None:
        constant = place(node)
        if isinstance(constant.value, (bool, int, float)):
            constant.value = _other(constant.value)

    yield "constant", change


def _other(number: Any) -> Any:
    if isinstance(number, bool):
        return not number
    return number + 1 if isinstance(number, int) else number * 1.5 or 0.5


def _set(value: Any) -> Callable[[Any], None]:
    return lambda keyword: setattr(keyword, "value", ast.parse(repr(value), mode="eval").body)


def _renamed(name: str) -> Callable[[Any], None]:
    return lambda node: setattr(node, "id", name)


def _other_weight(name: str) -> Callable[[Any], None]:
    return lambda node: setattr(node.slice, "value", name)


def _exchanged(i: int) -> Callable[[Any], None]:
    def change(call: Any) -> None:
        call.args[i], call.args[i + 1] = call.args[i + 1], call.args[i]

    return change


def _exchange(node: Any) -> None:
    node.left, node.right = node.right, node.left


def _other_sign(node: Any) -> None:
    node.op = OTHER_SIGNS[type(node.op)]()
