"""The graph becomes text: one line for each node, then the source of the kernels that it calls, then the weights.

All decisions are made here; the template only prints.
"""

from __future__ import annotations

import binascii
import hashlib
import inspect
import io
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import black
import jinja2
import numpy as np
from black.mode import TargetVersion

import kerasgen
from kerasgen import kernels
from kerasgen.emit import runtime
from kerasgen.emit.audit import FUNCTIONS, audit
from kerasgen.emit.source import collect
from kerasgen.errors import UsageError
from kerasgen.graph.facts import facts, is_copied, is_users
from kerasgen.graph.ir import Graph, Node, Operand, Shape
from kerasgen.graph.plan import Plan
from kerasgen.names import RESERVED, Namespace, identifier
from kerasgen.passes import LEVEL

# Lines in place of our functions, which are formatted already, while black does the rest.
KERNELS, RUNTIME = "# (kernels)", "# (runtime)"
STYLE = black.Mode(line_length=120, target_versions={TargetVersion.PY37})
NUMPY = "import numpy as np"
LINE = 116  # characters of base64 in a line, a multiple of 4


@dataclass(frozen=True)
class Module:
    """A module as text, and its weights as the bytes of an .npz file; `embedded` tells that they belong together.

    `warning` is a word on what is odd about it, or nothing.
    """

    text: str
    npz: bytes
    embedded: bool
    warning: str = ""

    def write(self, file: Any) -> None:
        """Write the module to a binary file, its weights at the end if they are embedded."""
        file.write(self.text.encode())
        if self.embedded:
            file.write(b"\n" + runtime.MARKER)
            step = LINE // 4 * 3 * 10_000
            for start in range(0, len(self.npz), step):
                file.write(_comments(self.npz[start : start + step]))


def emit(
    plan: Plan, *, sidecar: str = "", activations: Plan | None = None, level: int = LEVEL, selftest: Any = None
) -> Module:
    """The module of a plan. `sidecar` names the .npz file beside it that holds the weights, instead of the module.

    `activations` is a second plan of the same model and weights, printed as a function that returns the output of
    every layer that it still has. `level` is how far the graph was optimised, for whoever compares it again. `selftest`
    is what the module compares its answers with: see `kerasgen.verification.selftest`.
    """
    graph = plan.graph
    plans = [plan] if activations is None else [plan, activations]
    weights = {name: array for each in plans for name, array in each.graph.weights.items()}
    npz = _pack(weights)
    layouts = {name: layout for each in plans for name, layout in each.layouts.items()}
    called = [kernels.as_input, *(kernel for each in plans for kernel in _called(each))]
    called += [function for function, _ in layouts.values()]
    imports, blocks = collect(called)
    yours = _yours(called)
    blocks.update((name, black.format_str(blocks[name], mode=STYLE).rstrip()) for name in yours & blocks.keys())
    if plan.block and "BLOCK" in blocks:
        blocks["BLOCK"] = f"BLOCK = {plan.block}"
    loaders = [runtime.read_sidecar if sidecar else runtime.read_embedded] if weights else []
    load_imports, load_blocks = collect([*loaders, runtime.main])
    inputs = [(value.name, value.shape, value.dtype) for value in graph.inputs]
    text = _template("module.py.jinja").render(
        version=kerasgen.__version__,
        parameters=", ".join(name for name, _, _ in inputs),
        returns=("{%s}" if graph.keyed else "%s") % ", ".join(map(identifier, graph.output_names)),
        files=" ".join(f"{name}.npy" for name, _, _ in inputs),
        imports=sorted({*imports, *load_imports, *(["import os"] if sidecar and loaders else [])} - {NUMPY}),
        numpy=NUMPY,
        level=level,
        inputs=[ascii(row) for row in inputs],
        outputs=[ascii(row) for row in _outputs(graph)],
        predict=_Body(plan).lines(),
        activations=None if activations is None else _Body(activations, every_layer=True).lines(),
        stateful=bool(graph.memory),
        layouts=[_layout(name, *layout) for name, layout in layouts.items()],
        kernels=KERNELS,
        runtime=RUNTIME,
        loads=bool(loaders),
        sidecar=ascii(sidecar) if sidecar else None,
        sha256=hashlib.sha256(npz).hexdigest(),
        selftest=ascii(selftest),
    )
    text = black.format_str(text, mode=STYLE)
    for line, sources in ((RUNTIME, load_blocks), (KERNELS, blocks)):  # the user's functions last: they hold any line
        text = text.replace(f"\n{line}\n", "\n{}\n".format("\n\n\n".join(sources.values())), 1)
    audit(text, yours)
    return Module(text, npz, embedded=bool(loaders) and not sidecar)


def _yours(called: Iterable[Callable[..., Any]]) -> set[str]:
    """The names and import lines that come with the user's functions. UsageError where a module has such a name."""
    imports, blocks = collect(filter(is_users, called))
    for name in RESERVED.intersection(blocks):
        raise UsageError(f"modules have a {name} of their own; give your function another name")
    return {*imports, *blocks}


def _pack(weights: Mapping[str, np.ndarray]) -> bytes:
    """The weights as the bytes of an uncompressed .npz file; the same weights give the same bytes on any machine."""
    packed = io.BytesIO()
    arrays: dict[str, Any] = {
        name: np.ascontiguousarray(array, array.dtype.newbyteorder("<")) for name, array in weights.items()
    }
    np.savez(packed, **arrays)
    return packed.getvalue()


def _layout(name: str, function: Callable[..., Any], settings: Mapping[str, Any]) -> str:
    """The line that brings a weight into the layout that its kernel wants."""
    items = ", ".join(f"{key}={literal(value)}" for key, value in settings.items())
    return f"W[{name!a}] = {function.__name__}(W[{name!a}], {items})"


def _outputs(graph: Graph) -> Iterator[tuple[str, Shape, str]]:
    """Name, shape and dtype of each output."""
    for name, value in zip(graph.output_names, graph.outputs, strict=True):
        yield name, graph.specs[value].shape, graph.specs[value].dtype


def _called(plan: Plan) -> Iterator[Callable[..., Any]]:
    """The kernels that the plan's lines mention."""
    yield from [kernels.check_batch] if len(plan.graph.inputs) > 1 else []
    yield from [kernels.buffers] if plan.buffers else []
    yield from [kernels.in_batches] if plan.max_batch else []
    for node in plan.graph.nodes:
        for function in (node.kernel, *node.attrs.values()):
            if is_copied(function) and facts(function).syntax is None:
                yield function


class _Body:
    """The lines of `predict`, or of `activations`, which keeps every layer's output.

    A value that only the next line reads is called `x`; any other has its layer's name.
    """

    def __init__(self, plan: Plan, *, every_layer: bool = False) -> None:
        self.plan = plan
        self.graph = graph = plan.graph
        self.every_layer = every_layer
        readers = graph.readers()
        steps = [tuple(v.name for v in graph.inputs), *(node.outputs for node in graph.nodes)]
        functions = {function.__name__ for function in _called(plan)}  # the user's own are not reserved names
        unused = Namespace([*functions, *(name for names in steps for name in names)])
        self.printed = {name: unused.new(name) for names in steps for name in names if name in functions}
        for names, reader in zip(steps, graph.nodes, strict=False):
            if len(names) == 1 and readers[names[0]] == reader.reads.count(names[0]):
                self.printed[names[0]] = "x"

    def lines(self) -> list[str]:
        """One line for each input, each node, and what is returned."""
        lines = [
            f"{self._name(value.name)} = as_input({value.name}, *INPUTS[{index}])"
            for index, value in enumerate(self.graph.inputs)
        ]
        names = [self._name(value.name) for value in self.graph.inputs]
        if len(names) > 1:
            lines.append(f"check_batch(INPUTS, {', '.join(names)})")
        if self.plan.max_batch and not self.every_layer:
            lines.append(f"if len({names[0]}) > {self.plan.max_batch}:")
            lines.append(f"    return in_batches(predict, {self.plan.max_batch}, {', '.join(names)})")
        if self.plan.buffers:
            count = len(self.plan.buffers)
            lines.append(f"{', '.join(self.plan.buffers)}{',' * (count == 1)} = buffers({count})")
        memory = [(value.name, self._operand(name)) for value, name in self.graph.memory]
        lines += [f"{state} = STATES.get({state!r})" for state, _ in memory]
        for node in self.graph.nodes:
            lines.append(f"{', '.join(map(self._name, node.outputs))} = {self._expression(node)}")
        if memory:
            lines.append(f"STATES.update({', '.join(map('='.join, memory))})")
        if self.every_layer:
            return [*lines, f"return {{{', '.join(self._layers())}}}"]
        results = [self._operand(name) for name in self.graph.outputs]
        if self.graph.keyed:
            pairs = zip(self.graph.output_names, results, strict=True)
            return [*lines, f"return {{{', '.join(f'{name!a}: {result}' for name, result in pairs)}}}"]
        if self.graph.nodes and not memory and results == list(self.graph.nodes[-1].outputs):
            _, _, expression = lines.pop().partition(" = ")
            return [*lines, f"return {expression if len(results) == 1 else f'tuple({expression})'}"]
        return [*lines, f"return {', '.join(results)}"]

    def _layers(self) -> Iterator[str]:
        for layer, names in self.graph.layers.items():
            values = ", ".join(map(self._operand, names))
            yield f"{layer!a}: {values if len(names) == 1 else f'({values})'}"

    def _name(self, name: str) -> str:
        return self.printed.get(name, name)

    def _operand(self, operand: Operand) -> str:
        if not isinstance(operand, str):
            return literal(operand)
        return f"W[{operand!r}]" if operand in self.graph.weights else self._name(operand)

    def _expression(self, node: Node) -> str:
        operands = [self._operand(item) for item in node.inputs]
        syntax, out = facts(node.kernel).syntax, self.plan.out.get(node.outputs[0])
        if syntax is not None and out is None:
            return syntax(*operands, **node.attrs)
        defaults = _defaults(node.kernel)
        while operands and node.inputs[len(operands) - 1] is None and defaults.get(len(operands) - 1, "") is None:
            operands.pop()
        settings = [
            f"{key}={literal(value)}"
            for key, value in node.attrs.items()
            if key not in defaults or defaults[key] != value
        ]
        settings += [f"out={self._name(out)}"] if out else []
        name = node.kernel.__name__ if is_copied(node.kernel) else f"np.{_numpy_name(node.kernel)}"
        return f"{name}({', '.join([*operands, *settings])})"


def literal(value: Any) -> str:
    """A setting or a number as Python source."""
    if callable(value):
        return str(value.__name__)
    if isinstance(value, (list, tuple)):
        items = ", ".join(map(literal, value))
        return f"({items},)" if len(value) == 1 else f"({items})"
    if isinstance(value, float) and not math.isfinite(value):
        return f"float({str(value)!r})"
    assert isinstance(value, (str, int, float, bool, type(None))), value
    return ascii(value)


@cache
def _defaults(kernel: Callable[..., Any]) -> dict[Any, Any]:
    """The default of each parameter that has one, by name and by position."""
    try:
        parameters = inspect.signature(kernel).parameters.values()
    except ValueError:  # some NumPy functions have no signature
        return {}
    if not is_copied(kernel):
        return {}  # they differ between versions of NumPy
    return {key: p.default for i, p in enumerate(parameters) if p.default is not p.empty for key in (i, p.name)}


@cache
def _numpy_name(function: Any) -> str:
    """The name under which every NumPy from 1.17 on has this function. UsageError where no module may call it."""
    name = str(function.__name__)
    name = {"amax": "max", "amin": "min", "absolute": "abs", "true_divide": "divide"}.get(name, name)
    for prefix, module in (("", np), ("linalg.", np.linalg)):
        if getattr(module, name, None) is function and name in FUNCTIONS:
            return prefix + name
    raise UsageError(f"{name} is none of the NumPy functions that a rule may emit: call it in a function of yours")


def _comments(data: bytes) -> bytes:
    """Bytes as comment lines of base64, by whole blocks: a line at a time would take seconds for a large model."""
    text = np.frombuffer(binascii.b2a_base64(data, newline=False), np.uint8)
    whole = text[: len(text) // LINE * LINE].reshape(-1, LINE)
    lines = np.empty((len(whole), LINE + 3), np.uint8)
    lines[:, :2], lines[:, 2:-1], lines[:, -1] = (35, 32), whole, 10  # "# ", base64, newline
    rest = text[whole.size :].tobytes()
    return lines.tobytes() + (b"# " + rest + b"\n" if rest else b"")


@cache
def _template(name: str) -> jinja2.Template:
    """A template, from the wheel or from the checkout, where the folder stands beside the package."""
    package = Path(__file__).parents[1]
    folders = [package / "templates", package.parent / "templates"]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(name)
