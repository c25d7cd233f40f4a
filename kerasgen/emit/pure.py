"""A graph of kernels for lists becomes a module without NumPy."""

from __future__ import annotations

import ast
import binascii
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import black
import numpy as np
from black.mode import TargetVersion

import kerasgen
from kerasgen import pure_kernels
from kerasgen.emit import pure_runtime
from kerasgen.emit.audit import ALLOWED_WITHOUT_NUMPY, audit
from kerasgen.emit.body import Body, called_by_nodes
from kerasgen.emit.module import KERNELS, RUNTIME, Module, Origin, output_rows, template
from kerasgen.emit.source import collect
from kerasgen.emit.target import Target
from kerasgen.emit.weights import base64_lines
from kerasgen.emit.weights import pack as pack_npz
from kerasgen.graph.ir import Graph
from kerasgen.graph.plan import Plan
from kerasgen.names import identifier

PURE = Target(
    kernels=pure_kernels,
    runtime=pure_runtime,
    syntax=lambda kernel: None,
    name=lambda kernel: str(kernel.__name__),
    library="",
    template="pure.py.jinja",
    style=black.Mode(line_length=120, target_versions={TargetVersion.PY36}),
)
PRODUCTS = 1 << 24  # multiplications in a self-test: a second or more of work
WEIGHTS = "# (weights)"  # a line in place of their text, which black need not read


class SampleBody(Body):
    """The lines of `predict_sample`: its arguments are lists already."""

    def __init__(self, graph: Graph) -> None:
        super().__init__(Plan(graph), PURE)
        for value in graph.inputs:
            if self.printed.get(value.name) == self.chain:
                del self.printed[value.name]

    def _called(self) -> Iterator[Callable[..., Any]]:
        return called_by_nodes(self.plan, self.target)

    @property
    def parameters(self) -> str:
        """The names of the arguments."""
        return ", ".join(self._name(value.name) for value in self.graph.inputs)

    def results(self) -> str:
        """A list for each output."""
        return ", ".join(map(self._operand, self.graph.outputs))

    def _inputs(self) -> Iterator[str]:
        return iter(())

    def _returns_last_node(self, results: list[str]) -> bool:
        return bool(self.graph.nodes) and results == list(self.graph.nodes[-1].outputs)


def emit_pure(
    graph: Graph, outputs: Graph, *, sidecar: str = "", level: int, selftest: Any = None, origin: Origin | None = None
) -> Module:
    """The module of a graph of kernels for lists; `outputs` is the graph that it was lowered from.

    `sidecar` names the file beside it that holds the weights. The other arguments are as for `kerasgen.emit.module`.
    """
    origin = origin or Origin()
    body = SampleBody(graph)
    data, table = pack(graph.weights)
    loaders = [pure_runtime.read_sidecar if sidecar else pure_runtime.read_weights] if table else []
    imports, blocks = collect(called_by_nodes(Plan(graph), PURE))
    load_imports, load_blocks = collect([*loaders, pure_runtime.answer, pure_runtime.main])
    load_blocks = {name: text for name, text in load_blocks.items() if name not in blocks}
    inputs = [(value.name, value.shape, value.dtype) for value in graph.inputs]
    parameters = ", ".join(name for name, _, _ in inputs)
    names = list(outputs.output_names)
    needed = ["import binascii", "import io"] if table and not sidecar else []
    text = template(PURE.template).render(
        version=kerasgen.__version__,
        parameters=parameters,
        samples=body.parameters,
        returns=("{%s}" if outputs.keyed else "%s") % ", ".join(map(identifier, names)),
        imports=sorted({*imports, *load_imports, *needed}, key=lambda line: (line.startswith("from"), line)),
        model=ascii(dict(origin.model)) if origin.model else None,
        verified=ascii(origin.verified),
        export=ascii({"kerasgen": kerasgen.__version__, "optimize": level, **origin.options}),
        inputs=[ascii(row) for row in inputs],
        outputs=[ascii(row) for row in output_rows(outputs)],
        predict=list(_predict(parameters, names, keyed=outputs.keyed)),
        sample=body.lines(),
        kernels=KERNELS,
        runtime=RUNTIME,
        table=[ascii(row) for row in table],
        weights=_loading(sidecar, data) if table else "",
        selftest=ascii(selftest and {key: part for key, part in selftest.items() if key != "calls"}),
    )
    text = black.format_str(text, mode=PURE.style)
    if table and not sidecar:
        lines = b"".join(base64_lines(data)).decode()
        text = text.replace(f"\n{WEIGHTS}\n", f'\nWEIGHTS = """\n{lines}"""\n', 1)
    for line, sources in ((RUNTIME, load_blocks), (KERNELS, blocks)):
        text = text.replace(f"\n{line}\n", "\n{}\n".format("\n\n\n".join(sources.values())), 1)
    audit(text, allowed=ALLOWED_WITHOUT_NUMPY)
    return Module(text, data, embedded=False)


def _predict(parameters: str, names: list[str], *, keyed: bool) -> Iterator[str]:
    """The lines of `predict`."""
    call = f"answer(predict_sample, INPUTS, OUTPUTS, {parameters})"
    if keyed:
        yield f"return dict(zip(({', '.join(map(ascii, names))},), {call}))"
    else:
        yield f"return {call}[0]" if len(names) == 1 else f"return tuple({call})"


def _loading(sidecar: str, data: bytes) -> str:
    """The lines that load the weights."""
    if sidecar:
        digest = hashlib.sha256(data).hexdigest()
        return f'W = read_sidecar(__file__, {sidecar!a}, "{digest}", TABLE)'
    return f"{WEIGHTS}\nW = read_weights(io.BytesIO(binascii.a2b_base64(WEIGHTS)), TABLE)"


Row = tuple[str, str, int, int]  # name, type as in the module array, rows or 0 for a plain list, numbers in a row


def pack(weights: Mapping[str, np.ndarray]) -> tuple[bytes, list[Row]]:
    """The numbers of all weights, little-endian, one after another, and a table of what they are.

    Whole numbers are floats, too, of as many bits as hold them.
    """
    parts, table = [], []
    for name, array in weights.items():
        exact = array.dtype.itemsize <= 4 if array.dtype.kind == "f" else np.all(np.abs(array.astype("d")) < 1 << 24)
        code = "f" if exact else "d"
        parts.append(array.astype(np.dtype(code).newbyteorder("<")).tobytes())
        rows, count = array.shape if array.ndim == 2 else (0, array.size)
        table.append((name, code, rows, count))
    return b"".join(parts), table


_TEXT = re.compile(r'^WEIGHTS = """\n(.*?)"""\n', flags=re.M | re.S)
_TABLE = re.compile(r"^TABLE = (\(.*?\))\n(?=\S)", flags=re.M | re.S)


def split_weights(source: bytes, sidecar: bytes = b"") -> tuple[str, bytes | None]:
    """The text of a module without its weights, and these as the bytes of an .npz file, None if they cannot be decoded.

    Line ends become those of Unix. A module of another kind has no weights here.
    """
    text = source.replace(b"\r\n", b"\n").decode(errors="replace")
    found, table = _TEXT.search(text), _TABLE.search(text)
    code = _TEXT.sub("", text, count=1)
    if table is None:
        return code, b""
    try:
        data = binascii.a2b_base64(found[1]) if found else sidecar
        return code, pack_npz(unpack(data, ast.literal_eval(table[1])))
    except (SyntaxError, TypeError, ValueError):
        return code, None


def unpack(data: bytes, table: list[Row]) -> dict[str, np.ndarray]:
    """The arrays that `pack` packed. Raises ValueError where the bytes are others."""
    arrays, start = {}, 0
    for name, code, rows, count in table:
        array = np.frombuffer(data, np.dtype(code).newbyteorder("<"), max(rows, 1) * count, start)
        arrays[name] = array.reshape((rows, count) if rows else count)
        start += array.nbytes
    return arrays
