"""Every case through the whole road: file, graph, optimised graph, module; each answers as Keras does."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np
import pytest
from cases import CASES, Case
from interpreters import Interpreter
from no_gradients import NO_GRADIENT
from pairs import Pair
from support import randomize, relative_error
from teams import Team

from kerasgen.backward import differentiate
from kerasgen.backward.options import GradientOptions
from kerasgen.builder import Built, build
from kerasgen.emit.load import load_module
from kerasgen.emit.module import emit
from kerasgen.emit.pure import emit_pure
from kerasgen.emit.training import Training
from kerasgen.graph.ir import Graph
from kerasgen.graph.plan import Plan
from kerasgen.lowering import lower
from kerasgen.passes import DIFFERENTIABLE, LEVEL, PIPELINES, PURE, Phase, Pipeline, optimize
from kerasgen.passes.plan.choose_kernels import OTHER_DEPTHWISE, WINOGRAD, RowTiles, Tiles
from kerasgen.readers import read
from kerasgen.scanner.configs import look_through
from kerasgen.verification.compare import flat
from kerasgen.verification.gradients import FLOOR
from kerasgen.verification.oracle import Oracle

pytestmark = pytest.mark.usefixtures("unformatted")

BATCH = 3
FORMATS = ("keras", pytest.param("h5", marks=pytest.mark.one_in(8, by="prepared")))
GRADIENT_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Prepared:
    """A case with its files, its inputs and Keras's answers. It is read, built and optimised once for all its tests."""

    name: str
    case: Case
    model: Any
    folder: Path
    inputs: list[np.ndarray]
    expected: list[np.ndarray]
    results: dict[Any, Any] = field(default_factory=dict)

    def once(self, key: Any, make: Callable[[], Any]) -> Any:
        """What `make` returned when this key was first asked for."""
        if key not in self.results:
            self.results[key] = make()
        return self.results[key]

    def built(self, ending: str = "keras") -> Built:
        def make() -> Built:
            path = self.folder / f"model.{ending}"
            with contextlib.suppress(UserWarning):
                self.model.save(path)
            return build(read(path))

        return cast(Built, self.once(("built", ending), make))

    def graph(self, ending: str = "keras") -> Graph:
        """The graph with its weights, which are read-only, since other tests compute with them too."""

        def make() -> Graph:
            graph = self.built(ending).bind()
            for array in graph.weights.values():
                array.flags.writeable = False
            return graph

        return cast(Graph, self.once(("graph", ending), make))

    def optimized(self, pipeline: Pipeline) -> Plan:
        return cast(Plan, self.once(("plan", id(pipeline)), lambda: optimize(self.graph(), pipeline)))

    def check(self, results: Any, tolerance: float | None = None) -> None:
        results = list(results)
        assert len(results) == len(self.expected)
        for result, expected in zip(results, self.expected, strict=True):
            assert result.dtype == (expected.dtype if expected.dtype.name != "bfloat16" else "float32")
            assert relative_error(result, expected) <= (tolerance or self.case.tolerance)


@pytest.fixture(scope="module", params=list(CASES))
def prepared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    case = CASES[request.param]
    model = randomize(case.model())
    if case.finish is not None:
        case.finish(model)
    random = np.random.RandomState(7)
    inputs = []
    for tensor in model.inputs:
        unknown = iter(case.sizes * 2)
        shape = [BATCH, *(next(unknown) if size is None else size for size in tensor.shape[1:])]
        if "float" in tensor.dtype:
            values = random.uniform(*case.values or (-4, 4), shape)
        else:
            values = random.randint(*case.values or (0, 4), shape)
        inputs.append(values.astype(tensor.dtype))
    if case.answer is not None:
        return Prepared(
            request.param, case, model, tmp_path_factory.mktemp("case"), inputs, flat(np.asarray(case.answer(*inputs)))
        )
    if isinstance(getattr(model, "_inputs_struct", None), dict):
        answer = model(dict(zip([tensor.name for tensor in model.inputs], inputs, strict=True)), training=False)
    else:
        answer = model(inputs if len(inputs) > 1 else inputs[0], training=False)
    expected = [np.asarray(y) for y in flat(answer)]
    return Prepared(request.param, case, model, tmp_path_factory.mktemp("case"), inputs, expected)


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("ending", FORMATS)
def test_graph(prepared: Prepared, ending: str) -> None:
    if ending not in prepared.case.formats:
        pytest.skip("Keras cannot write it")
    built = prepared.built(ending)
    assert not built.problems
    prepared.check(prepared.graph(ending).run(*prepared.inputs))
    assert same(prepared.graph(ending), prepared.graph())  # so that the other tests need one of them
    parameters = sum(int(np.prod(v.shape)) for v in built.variables if not v.state)
    assert parameters == prepared.model.count_params()


def same(one: Graph, other: Graph) -> bool:
    """Whether two graphs are equal to the bit, the order of the weights included."""
    arrays = [[(name, array.dtype, array.tobytes()) for name, array in graph.weights.items()] for graph in (one, other)]
    return arrays[0] == arrays[1] and replace(one, weights={}) == replace(other, weights={})


def forced(limits: Mapping[str, Mapping[str, Any]]) -> Pipeline:
    """The passes of the highest level, with other limits, by the names of the passes."""
    return [
        Phase(name, tuple(partial(step, **limits.get(step.__name__, {})) for step in steps))
        for name, steps in PIPELINES[max(PIPELINES)]
    ]


ALWAYS: Tiles = {window: [(m, max(m), 1) for m, _, _ in tiles] for window, tiles in WINOGRAD.items()}
ROWS: RowTiles = {window: tiles[0] for window, tiles in OTHER_DEPTHWISE.items()}
# Every fast kernel wherever it can stand, for the cases are so small that none is worth it, or all are unrolled.
FAST = forced(
    {
        "choose_threads": {"few": 0, "mean": 0, "run": 1},
        "unroll_small": {"limit": 0},
        "fuse_attention": {"small": 0},
        "fuse_band_attention": {"small": 0},
        "large_by_rows": {"small": 0, "few": 0, "wide": 1},
        "choose_kernels": {"small": 0, "few": 0, "winograd": ALWAYS, "depthwise": ROWS},
        "scale_by_blocks": {"large": 1},
        "move_pools": {"large": 0},
        "activations_by_rows": {"large": 1, "larger": 1, "many": 1},
        "plan_memory": {"large": 1},
        "split_batch": {"run": 1},
    }
)
FAST_TOLERANCE = 3e-5
UNROLLED = forced({"unroll_small": {"limit": 1 << 22}})


@pytest.mark.parametrize(
    "pipeline", [*PIPELINES.values(), FAST, UNROLLED], ids=[*map(str, PIPELINES), "fast", "unrolled"]
)
def test_optimized_graph(prepared: Prepared, pipeline: Pipeline) -> None:
    got = prepared.optimized(pipeline).run(*prepared.inputs)
    prepared.check(got, max(prepared.case.tolerance, FAST_TOLERANCE if pipeline is FAST else 0))


@pytest.mark.one_in(2, by="prepared")
def test_module(prepared: Prepared, pairs: list[Pair]) -> None:
    """By this Python and NumPy, and by others."""
    case, default = prepared.case, prepared.optimized(PIPELINES[LEVEL])
    module, result = _predicted(prepared, default, pairs, case.tolerance)
    assert isinstance(result, dict) == isinstance(getattr(prepared.model, "_outputs_struct", None), dict)
    wanted = getattr(prepared.model, "_outputs_struct", prepared.model.outputs)
    assert [shape for _, shape, _ in module.OUTPUTS] == [tuple(tensor.shape) for tensor in flat(wanted)]
    assert [tuple(shape) for _, shape, _ in module.INPUTS] == [tuple(t.shape) for t in prepared.model.inputs]
    seen = {node.kernel for node in default.graph.nodes}
    for pipeline, tolerance in ((FAST, max(case.tolerance, FAST_TOLERANCE)), (PIPELINES[0], case.tolerance)):
        other = prepared.optimized(pipeline)
        if {node.kernel for node in other.graph.nodes} - seen:
            seen.update(node.kernel for node in other.graph.nodes)
            _predicted(prepared, other, pairs, tolerance)


@pytest.mark.one_in(8, by="prepared")
def test_module_without_numpy(prepared: Prepared, interpreters: Mapping[str, Interpreter]) -> None:
    """In double precision, and in MicroPython with arrays of single precision."""
    lowered = lower(prepared.optimized(PURE[LEVEL]).graph)
    if lowered.problems:
        assert all(text for _, text in lowered.problems)
        return
    path = prepared.folder / "pure.py"
    path.write_text(emit_pure(lowered.graph, prepared.graph(), level=LEVEL).text, encoding="utf-8")
    for name, interpreter in interpreters.items():
        answers = interpreter.predict(path, prepared.inputs)
        for answer, expected in zip(answers, prepared.expected, strict=True):
            got = np.array(answer, expected.dtype if expected.dtype.name != "bfloat16" else "float32")
            assert got.shape == expected.shape
            tolerance = max(prepared.case.tolerance, 1e-4 if name == "micropython" else 1e-5)
            assert relative_error(got, expected) <= tolerance, name


@pytest.mark.one_in(24, by="prepared")
@pytest.mark.parametrize("pipeline", [PIPELINES[LEVEL], FAST], ids=["default", "fast"])
def test_team(prepared: Prepared, pipeline: Pipeline) -> None:
    """Each of several processes that share the rows of the layers has the answer, of a second call, too."""
    plan = prepared.optimized(pipeline)
    if not plan.shares_work:
        pytest.skip("nothing to share")
    path = prepared.folder / "team.py"
    with open(path, "wb") as file:
        emit(plan).write(file)
    for size in (2, 3, 4):
        team = Team(path, size)
        for _ in range(2):
            for results in team.predict(prepared.inputs):
                prepared.check(results, max(prepared.case.tolerance, FAST_TOLERANCE))


def _predicted(prepared: Prepared, plan: Plan, pairs: list[Pair], tolerance: float) -> tuple[ModuleType, Any]:
    path = prepared.folder / "module.py"
    with open(path, "wb") as file:
        emit(plan).write(file)
    module = load_module(path)
    result = module.predict(*prepared.inputs)
    prepared.check(flat(result), tolerance)
    for pair in pairs:
        prepared.check(pair.predict(path, prepared.inputs, empty=not prepared.case.mixes), tolerance)
    if not prepared.case.mixes:
        alone = [array[:1] for array in prepared.inputs]  # a sample does not depend on the rest of the batch
        for one, many in zip(flat(module.predict(*alone)), flat(result), strict=True):
            assert relative_error(one, many[: len(one)]) <= tolerance
    return module, result


def test_config_is_harmless(prepared: Prepared) -> None:
    """`scan` knows all that Keras itself writes."""
    try:
        text = prepared.model.to_json()
    except (TypeError, ValueError):
        pytest.skip("Keras cannot spell it")
    assert list(look_through(text, prepared.name)) == []


def test_activations(prepared: Prepared) -> None:
    """The graph that keeps every layer's output still has them all, and answers the same."""
    graph = prepared.graph()
    full = optimize(graph.with_every_layer())
    prepared.check(full.run(*prepared.inputs)[: len(graph.outputs)])
    assert set(full.graph.layers) == set(graph.layers)
    plain, optimized = graph.trace(*prepared.inputs), full.trace(*prepared.inputs)
    for layer, names in graph.layers.items():
        for name, other in zip(names, full.graph.layers[layer], strict=True):
            assert relative_error(optimized[other], plain[name]) <= prepared.case.tolerance, layer


def tape_gradients(prepared: Prepared) -> tuple[list[np.ndarray | None], list[Any], dict[bytes, Any]]:
    """Weights for the float outputs, and by `tf.GradientTape` the gradients of their weighted sum.

    Those in the inputs are a list; those in the model's variables have the bytes of the variable as key.
    """
    random = np.random.RandomState(5)
    outer = [random.uniform(-1, 1, y.shape).astype(y.dtype) if y.dtype.kind == "f" else None for y in prepared.expected]
    of_inputs, of_variables = Oracle(prepared.model, "the model").gradients(prepared.inputs, outer)
    return outer, of_inputs, {numbers.tobytes(): gradient for numbers, gradient in of_variables}


@pytest.mark.parametrize(
    "level",
    [pytest.param(n, marks=pytest.mark.one_in(4 if n == LEVEL else 8, by="prepared")) for n in DIFFERENTIABLE],
)
def test_gradients(prepared: Prepared, level: int) -> None:
    """The gradients in every float input and weight, as TensorFlow computes them."""
    if prepared.name in NO_GRADIENT:
        pytest.skip(NO_GRADIENT[prepared.name])
    built, graph = prepared.built(), prepared.graph()
    outer, of_inputs, of_variables = prepared.once("tape", lambda: tape_gradients(prepared))
    trained = {v.key for v in built.variables if v.trainable and not v.state and graph.weights[v.key].dtype.kind == "f"}
    plan = optimize(graph.with_variables(trained), DIFFERENTIABLE[level])
    right = prepared.once("right gradients", list)
    if any(nodes == plan.graph.nodes and same_arrays(arrays, plan.graph.arrays) for nodes, arrays in right):
        return  # another level has made the same graph
    watched = {v.name: g for v, g in zip(graph.inputs, of_inputs, strict=True) if np.dtype(v.dtype).kind == "f"}
    derivative = differentiate(plan.graph, [*watched, *plan.graph.variables])
    values = plan.graph.trace(*prepared.inputs)
    reached = [array for array, name in zip(outer, derivative.d_outputs, strict=True) if name]
    back = derivative.graph.check().trace(*(values[name] for name in derivative.saved), *reached)
    expected = {**watched, **{name: of_variables[graph.weights[name].tobytes()] for name in plan.graph.variables}}
    largest = max((np.abs(g).max(initial=0) for g in expected.values() if g is not None), default=0)
    for name, wanted in expected.items():
        got = back[derivative.gradients[name]]
        wanted = np.zeros_like(got) if wanted is None else wanted
        assert (got.shape, got.dtype) == (wanted.shape, wanted.dtype), name
        error = np.abs(got - wanted).max(initial=0) / (max(np.abs(wanted).max(initial=0), FLOOR * largest) or 1)
        assert error <= GRADIENT_TOLERANCE, f"{name}: {error:.1e}"
    right.append((plan.graph.nodes, plan.graph.arrays))


@pytest.mark.one_in(8, by="prepared")
def test_gradient_module(prepared: Prepared) -> None:
    """The module with gradients computes what the graphs do."""
    if prepared.name in NO_GRADIENT:
        pytest.skip(NO_GRADIENT[prepared.name])
    built, graph = prepared.built(), prepared.graph()
    options = GradientOptions()
    training = options.plan(built, graph, LEVEL)
    path = prepared.folder / "gradients.py"
    with open(path, "wb") as file:
        emit(training.predict, training=Training(training, options)).write(file)
    module = load_module(path)
    outputs, saved = module.forward(*prepared.inputs)
    prepared.check(flat(outputs))
    random = np.random.RandomState(5)
    outer = [random.uniform(-1, 1, y.shape).astype(y.dtype) for y in flat(outputs)]
    values = training.forward.trace(*prepared.inputs)
    names = dict(zip(training.backward.saved, training.forward.graph.outputs[len(graph.outputs) :], strict=True))
    reached = [array for array, name in zip(outer, training.backward.d_outputs, strict=True) if name]
    back = training.backward.graph.trace(*(values[name] for name in names.values()), *reached)
    d_inputs, d_weights = module.backward(saved, *outer)
    assert not saved
    gradients = training.backward.gradients
    assert d_weights.keys() == set(training.trainable)
    for name, gradient in d_weights.items():
        assert relative_error(gradient, back[gradients[name]]) <= 1e-5, name
    for name, gradient in zip(training.inputs, flat(d_inputs) if training.inputs else [], strict=True):
        assert relative_error(gradient, back[gradients[name]]) <= 1e-5, name


def same_arrays(some: Mapping[str, np.ndarray], others: Mapping[str, np.ndarray]) -> bool:
    return some.keys() == others.keys() and all(array is others[name] for name, array in some.items())


def test_enough_cases() -> None:
    assert len(CASES) >= 250
