"""A plan becomes text: one line for each node, then the source of the kernels that it calls, then the weights.

All decisions are made here and in `kerasgen.emit.body`; the template only prints.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import black
import jinja2
import numpy as np

import kerasgen
from kerasgen.emit import streaming
from kerasgen.emit.audit import audit
from kerasgen.emit.body import Body, called, layout_line, literal, with_shapes
from kerasgen.emit.processing import Processing
from kerasgen.emit.quantize import is_compact
from kerasgen.emit.source import collect
from kerasgen.emit.target import NUMPY, Target
from kerasgen.emit.templates import TEMPLATES
from kerasgen.emit.tiles import Tiling
from kerasgen.emit.training import Training
from kerasgen.emit.tunable import Work, called_by
from kerasgen.emit.weights import NPZ, base64_lines, pack
from kerasgen.errors import UsageError
from kerasgen.graph.facts import is_users
from kerasgen.graph.ir import Graph, Shape
from kerasgen.graph.plan import Plan
from kerasgen.kernels import tiles
from kerasgen.names import RESERVED, identifier
from kerasgen.passes import LEVEL
from kerasgen.streaming.walk import Step

# Lines in place of our functions and of the texts of Lambdas, which are formatted already, while black does the rest.
KERNELS, RUNTIME, LAMBDAS = "# (kernels)", "# (runtime)", "# (lambdas)"


@dataclass(frozen=True)
class Module:
    """A module as text, and its weights as the bytes of an .npz file; `embedded` tells that they belong together.

    `warning` is a word on what is odd about it, or nothing.
    """

    text: str
    npz: bytes
    embedded: bool
    warning: str = ""

    def with_constants(self, **values: Any) -> Module:
        """The module with other data in the place of VERIFIED or SELFTEST."""
        text = self.text
        for name, value in values.items():
            line = black.format_str(f"{name} = {value!a}\n", mode=NUMPY.style).replace("\\", r"\\")
            text = re.sub(f"^{name}" + r" = .*?\n(?=[^ })])", line, text, count=1, flags=re.M | re.S)
        return replace(self, text=text)

    def write(self, file: Any) -> None:
        """Write the module to a binary file, with its weights if they are embedded."""
        before, literal, after = self.text.rpartition(NPZ) if self.embedded else (self.text, "", "")
        file.write((before + literal).encode())
        if self.embedded:
            for lines in base64_lines(self.npz):
                file.write(lines)
        file.write(after.encode())


@dataclass(frozen=True)
class Origin:
    """What a module says of itself, as data: the model, the options of the export, and who has verified it."""

    model: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    verified: Mapping[str, Any] | None = None


def emit(
    plan: Plan,
    *,
    target: Target = NUMPY,
    sidecar: str = "",
    activations: Plan | None = None,
    level: int = LEVEL,
    origin: Origin | None = None,
    training: Training | None = None,
    step: Step | None = None,
    processing: Processing | None = None,
    tiling: Tiling | None = None,
    minimal: bool = False,
    stored: Mapping[str, np.ndarray] | None = None,
    works: Sequence[Work] = (),
) -> Module:
    """The module of a plan. `sidecar` names the .npz file beside it that holds the weights, instead of the module.

    `activations` is a second plan of the same model and weights, printed as a function that returns the output of
    every layer that it still has. `level` is how far the graph was optimised, for whoever compares it again. `origin`
    is where it comes from. `training` adds the gradients, and `step` what computes new steps alone, of the same
    weights; `processing` adds what prepares images and names classes, `tiling` adds `predict_tiled`. A `minimal` module
    has no command line and no self-test; what the self-test compares is put in later, by `Module.with_constants`.
    `stored` are the weights as `kerasgen.emit.quantize.compact` has them, where they are stored in fewer bytes. With
    `works`, the module can time the kernels that may compute its layers: see `kerasgen.emit.runtime.tuning`.
    """
    origin = origin or Origin()
    graph = plan.graph
    plans = [plan, *([activations] if activations else []), *([training.plan.forward] if training else [])]
    plans += [Plan(step.graph)] if step else []
    weights = {name: array for each in plans for name, array in each.graph.arrays.items()}
    npz = pack(weights if stored is None else stored)
    decodes = is_compact(stored or ())
    layouts = {name: layout for each in plans for name, layout in each.layouts.items()}
    functions = [target.kernels.as_input, *(kernel for each in plans for kernel in called(each, target))]
    functions += [function for function, _ in layouts.values()]
    functions += training.functions(target) if training else []
    functions += streaming.functions(step, target) if step else []
    functions += processing.functions() if processing else []
    functions += [tiles.in_tiles] if tiling else []
    functions += called_by(works)
    imports, blocks = collect(functions)
    yours = _yours(functions, {*RESERVED, *(["start", "step"] if step else [])})
    blocks.update((name, black.format_str(blocks[name], mode=target.style).rstrip()) for name in yours & blocks.keys())
    if plan.block and "BLOCK" in blocks:
        blocks["BLOCK"] = f"BLOCK = {plan.block}"
    if "THREADS" in blocks:
        blocks["THREADS"] = blocks["THREADS"].replace('or "1"', f'or "{plan.threads}"')
    loaders = [target.runtime.read_sidecar if sidecar else target.runtime.read_embedded] if weights else []
    loaders += [target.runtime.decode_weights] if decodes else []
    if training and training.plan.trainable:
        loaders += [target.runtime.write_weights, target.runtime.read_weights]
    sharing = [target.runtime.in_team, target.runtime.processes] if plan.shares_work else []
    programs = [] if minimal else [target.runtime.main]
    programs += [target.runtime.with_steps] if step and not minimal else []
    programs += [target.runtime.check_tiles] if tiling and not minimal else []
    programs += [target.runtime.tune_main] if works else []
    load_imports, load_blocks = collect([*sharing, *loaders, *programs])
    _check_names(yours & load_blocks.keys())
    load_blocks = {name: block for name, block in load_blocks.items() if name not in blocks}
    inputs = [(value.name, value.shape, value.dtype) for value in graph.inputs]
    model, lambdas = _model(origin.model)
    text = template(target.template).render(
        version=kerasgen.__version__,
        parameters=", ".join(name for name, _, _ in inputs),
        signature=", ".join(f"{name}: np.ndarray" for name, _, _ in inputs),
        answer=_answer(graph),
        public=sorted(_public(plan, activations, training, step, processing, tiling)),
        minimal=minimal,
        returns=("{%s}" if graph.keyed else "%s") % ", ".join(map(identifier, graph.output_names)),
        files=" ".join(f"{name}{processing.suffix if processing else '.npy'}" for name, _, _ in inputs),
        imports=sorted({*imports, *load_imports} - {target.library}),
        numpy=target.library,
        model=model if origin.model else None,
        verified=ascii(origin.verified),
        export=ascii({"kerasgen": kerasgen.__version__, "optimize": level, **origin.options}),
        inputs=[ascii(row) for row in inputs],
        outputs=[ascii(row) for row in output_rows(graph)],
        predict=Body(plan, target).lines(),
        activations=None if activations is None else Body(activations, target, every_layer=True).lines(),
        stateful=bool(graph.memory),
        training=training.printed(target) if training else None,
        streaming=streaming.printed(step, target) if step else None,
        processing=processing.printed(graph) if processing else None,
        tiles=ascii(tiling.constant(plan)) if tiling else "",
        layouts=[layout_line(name, *layout) for name, layout in layouts.items()],
        works=[literal(work) for work in works],
        max_batch=plan.max_batch,
        kernels=KERNELS,
        runtime=RUNTIME if load_blocks else "",
        runtime_title=_title(
            ["processes"] * bool(sharing) + ["weights"] * bool(loaders) + ["command line"] * (not minimal)
        ),
        loads=bool(loaders),
        decodes=decodes,
        sidecar=ascii(sidecar) if sidecar else None,
        sha256=hashlib.sha256(npz).hexdigest() if sidecar else None,
    )
    text = with_shapes(black.format_str(text, mode=target.style), plan)
    text = text.replace(f"\n        {LAMBDAS}\n", f"\n{lambdas}\n", 1)
    for line, sources in ((RUNTIME, load_blocks), (KERNELS, blocks)):  # the user's functions last: they hold any line
        text = text.replace(f"\n{line}\n", "\n{}\n".format("\n\n\n".join(sources.values())), 1)
    audit(text, yours)
    return Module(text, npz, embedded=bool(loaders) and not sidecar)


def _title(parts: Sequence[str]) -> str:
    """What a section of a module contains, as its title."""
    return " and ".join([", ".join(parts[:-1])] * (len(parts) > 1) + [*parts[-1:]]).capitalize()


def _answer(graph: Graph) -> str:
    """The annotation of what `predict` returns."""
    if graph.keyed:
        return '"dict[str, np.ndarray]"'
    count = len(graph.output_names)
    return "np.ndarray" if count == 1 else f'"tuple[{", ".join(["np.ndarray"] * count)}]"'


def _public(
    plan: Plan,
    activations: Plan | None,
    training: Training | None,
    step: Step | None,
    processing: Processing | None,
    tiling: Tiling | None,
) -> Iterator[str]:
    """The names in a module that are meant for others."""
    yield from ("INPUTS", "OUTPUTS", "predict")
    yield from ["activations"] if activations else []
    yield from ["reset_states"] if plan.graph.memory else []
    yield from ["start", "step"] if step else []
    yield from ["processes"] if plan.shares_work else []
    yield from ["predict_tiled"] if tiling else []
    yield from processing.public() if processing else ()
    if training:
        yield from ("forward", "backward")
        yield from ["train_step"] if training.options.loss else []
        yield from ["save_weights", "load_weights"] if training.plan.trainable else []
        yield from (method for method, _ in training.options.methods())


def _model(facts: Mapping[str, Any]) -> tuple[str, str]:
    """What a module says of its model, as source text; and the lines of its Lambdas, if black need not format them."""
    lambdas, width = facts.get("lambdas", {}), NUMPY.style.line_length
    lines = [f'        "{name}": "{text}",' for name, text in lambdas.items()]
    is_short = len(ascii(lambdas)) <= width  # and may fit in a line
    if is_short or any(len(line) > width or len(ascii(line)) > len(line) + 2 or line.count('"') > 4 for line in lines):
        return ascii(dict(facts)), ""
    parts = [f"{key!a}: " + (f"{{\n{LAMBDAS}\n}}" if key == "lambdas" else ascii(item)) for key, item in facts.items()]
    return f"{{{', '.join(parts)}}}", "\n".join(lines)


def _yours(functions: Iterable[Callable[..., Any]], reserved: Set[str]) -> set[str]:
    """The names and import lines that come with the user's functions. UsageError where a module has such a name."""
    imports, blocks = collect(filter(is_users, functions))
    _check_names(reserved & blocks.keys())
    return {*imports, *blocks}


def _check_names(taken: Iterable[str]) -> None:
    for name in taken:
        raise UsageError(f"modules have a {name} of their own; give your function another name")


def output_rows(graph: Graph) -> Iterator[tuple[str, Shape, str]]:
    """Name, shape and dtype of each output."""
    for name, value in zip(graph.output_names, graph.outputs, strict=True):
        yield name, graph.specs[value].shape, graph.specs[value].dtype


@cache
def template(name: str) -> jinja2.Template:
    """The template of this name."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(name)
