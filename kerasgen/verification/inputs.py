"""Inputs for comparisons: generated to suit the model, or the user's own.

A comparison is only as good as its inputs: after a division by 255, the first layer hardly sees noise around 0. The
range that an input needs is read from the graph as built, by following the input through scales and shifts:

| what reads the input | range |
|---|---|
| a table, a vocabulary, an encoding of classes | the integers that it has |
| bins | from below the first to above the last |
| a normalisation by statistics | mean - 2 deviations to mean + 2 deviations |
| (x - m) s, then any layer | 0 to 1/s if m is 0; 0 to 2m if that is 1/s or more; else m - 1/s to m + 1/s |
| a linear layer whose sums a batch normalisation has statistics of | inputs with such sums, if they are far from 1 |
| a network of `keras.applications`, by name | the range of its `preprocess_input` |
| anything else | -2 to 2, integers 0 to 9, bytes 0 to 255 |

The first row that applies counts. `kerasgen.emit.runtime.inputs.make_input` makes the arrays, here and in the modules:
four samples, one of each kind. If -2 to 2 is only a guess, a fifth sample has larger numbers, for filters that are dead
in that range. If a table is read, more samples count through all its rows, as far as that is cheap.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kerasgen import kernels
from kerasgen.emit.runtime.inputs import make_input
from kerasgen.errors import FileError, UsageError
from kerasgen.graph.affine import Affine, affine
from kerasgen.graph.facts import facts, is_users
from kerasgen.graph.ir import Graph, Node, Value
from kerasgen.names import printable
from kerasgen.readers.model import ModelSpec

Inputs = Sequence[tuple[str, Sequence[int | None], str]]  # names, shapes and dtypes, as in a module's INPUTS
BATCH = 4  # one sample of each kind that `make_input` makes in the range
MANY_CELLS = 1 << 20  # of the inputs; from there on, a batch has two samples
MOST_CELLS = 1 << 24  # of the inputs; from there on, it has one
MOST_WORK = 1 << 28  # cells of all the arrays that the graph computes for a batch
MOST_COUNTING = 1 << 22  # the same, for the samples that count through a table
TOO_MANY_CELLS = 1 << 25  # of a batch: it would take hundreds of megabytes
OPEN_SIZES = (128, 64, 32, 16, 8, 4, 2)  # to try for the sizes that a model leaves open


class TooLarge(UsageError):
    """An input is too large to be generated."""


class Recipe(NamedTuple):
    """The arguments of `kerasgen.emit.runtime.inputs.make_input` except the seed: an input as a few numbers."""

    shape: tuple[int, ...]
    dtype: str
    low: Any
    high: Any
    whole: bool = False

    def array(self, seed: int = 0) -> np.ndarray:
        """The input itself."""
        return np.asarray(make_input(*self, seed))


class Range(NamedTuple):
    """The range of an input. Each limit is one number, or one per cell of the last axis."""

    low: Any
    high: Any
    whole: bool = False

    def before(self, change: Affine) -> Range:
        """The range of x for which x s + t is in this range."""
        ends = (np.asarray(self.low) - change.shift) / change.scale, (self.high - change.shift) / change.scale
        return Range(np.minimum(*ends), np.maximum(*ends), self.whole)


BY_DTYPE: Mapping[str, Range] = {"uint8": Range(0, 255), "bool": Range(0, 1)}
FLOATS, INTEGERS = Range(-2.0, 2.0), Range(0, 9)
CAFFE = Range(-124.0, 151.0)  # 0 to 255 less the mean of ImageNet's blue, and of its red
KEEPS = (kernels.cast, kernels.identity)  # which move no channel to another place
APPLICATIONS = dict.fromkeys(("vgg16", "vgg19", "resnet50", "resnet101", "resnet152"), CAFFE)


def recipes(graph: Graph, model: ModelSpec | None = None, batch: int | None = None) -> tuple[Recipe, ...]:
    """The recipe of each input of a graph as built. By default, `batch` depends on the size of the inputs.

    A model may fix the batch. What cannot be known of a graph without weights is guessed.
    """
    sizes = [graph.specs[name].shape[1:] for node in graph.nodes for name in node.outputs]
    work = max(1, sum(math.prod(size or OPEN_SIZES[0] for size in shape) for shape in sizes))
    ranges = [wanted_range(value, graph, model) for value in graph.inputs]
    shapes = _shapes([value.shape for value in graph.inputs], batch or _fixed_batch(model), ranges, work)
    return tuple(map(_recipe, graph.inputs, shapes, ranges))


def draw(recipes: Iterable[Recipe], seed: int = 0) -> list[np.ndarray]:
    """The inputs of these recipes. Raises TooLarge if one is too large."""
    recipes = list(recipes)
    cells = sum(math.prod(recipe.shape) for recipe in recipes)
    if cells > TOO_MANY_CELLS:
        raise TooLarge(f"its inputs are too large to be made up: {cells:,} numbers")
    return [recipe.array(seed + number) for number, recipe in enumerate(recipes)]


def random_inputs(inputs: Inputs, seed: int = 0, batch: int = BATCH) -> list[np.ndarray]:
    """An array for each input of a model about which nothing else is known. `inputs` is a module's INPUTS."""
    shapes = _shapes([shape for _, shape, _ in inputs], batch)
    values = (Value(name, tuple(shape), dtype) for name, shape, dtype in inputs)
    return draw((_recipe(value, shape, _unknown(value)) for value, shape in zip(values, shapes, strict=True)), seed)


def _recipe(value: Value, shape: tuple[int, ...], wanted: Range) -> Recipe:
    """The recipe for this range, as far as the dtype has it; floats have three digits, the same on all machines."""
    dtype = np.dtype(value.dtype)
    whole = wanted.whole or dtype.kind in "biu"
    least, most = (np.iinfo(dtype).min, np.iinfo(dtype).max) if dtype.kind in "iu" else (-math.inf, math.inf)

    def plain(limit: Any) -> Any:
        array = np.asarray(limit, np.float64).reshape(-1).clip(least, most)
        cells = (array if array.size == shape[-1] else array.mean(keepdims=True)).tolist()
        cells = [int(cell) if whole else float(f"{cell:.3g}") for cell in cells]
        return cells[0] if len(set(cells)) == 1 else tuple(cells)

    return Recipe(shape, value.dtype, plain(wanted.low), plain(wanted.high), whole)


def _fixed_batch(model: ModelSpec | None) -> int | None:
    """The number of samples that every call must have, if the model fixes it, as stateful layers do."""
    shapes = [] if model is None else [layer.config.get("batch_shape") for layer in model.layers]
    return next((shape[0] for shape in shapes if isinstance(shape, (list, tuple)) and shape and shape[0]), None)


def _shapes(
    shapes: Sequence[Sequence[int | None]], batch: int | None, ranges: Sequence[Range] = (), work: int = 1
) -> list[tuple[int, ...]]:
    """The shapes to try, with all sizes known. Unless the batch is given, it has as many samples as the ranges need.

    `work` is the number of cells that the graph computes for a sample.
    """
    for size in OPEN_SIZES:
        samples = [tuple(size if length is None else int(length) for length in shape[1:]) for shape in shapes]
        cells = sum(map(math.prod, samples))
        if cells <= MANY_CELLS:
            break
    limit, least = (MANY_CELLS, 2) if 2 * cells <= MOST_CELLS else (MOST_CELLS, 1)
    more = max(map(_more, ranges, samples, repeat(work)), default=0)
    batch = batch or min(BATCH + more, max(1, MOST_WORK // work), max(least, limit // max(cells, 1)))
    return [(batch, *sample) for sample in samples]


def _more(wanted: Range, sample: tuple[int, ...], work: int) -> int:
    """How many extra samples an input needs: one that leaves a guessed range, or those that count through a table."""
    if not wanted.whole:
        return int(wanted is FLOATS)
    numbers = int(np.max(wanted.high) - np.min(wanted.low)) + 1
    return min(math.ceil(numbers / max(1, math.prod(sample))), MOST_COUNTING // work)


def _unknown(value: Value) -> Range:
    default = FLOATS if np.dtype(value.dtype).kind in "fc" else INTEGERS
    return BY_DTYPE.get(value.dtype, default)


def wanted_range(value: Value, graph: Graph, model: ModelSpec | None = None) -> Range:
    """The range that an input of a graph as built needs: see the module's docstring."""
    found = sorted(_hints(value, graph), key=lambda hint: hint[0])  # on a tie, the first
    tables = [wanted for rank, wanted in found if rank == TABLE]
    if tables:
        low, high = max(wanted.low for wanted in tables), min(wanted.high for wanted in tables)
        return Range(low, high, True) if low <= high else tables[0]
    if found:
        return found[0][1]
    names = [] if model is None else [model.name, *(layer.name for layer in model.layers if layer.model is not None)]
    image = len(value.shape) == 4 and value.shape[-1] == 3 and value.dtype == "float32"
    return next((APPLICATIONS[name] for name in names if image and name in APPLICATIONS), _unknown(value))


# What a range can be read from, the surest first.
TABLE, BINS, STATISTICS, SCALE, SUMS = range(5)


def _hints(value: Value, graph: Graph) -> Iterator[tuple[int, Range]]:
    """What the readers of an input say about its range, after any scaling, shifting and moving before them."""
    same = Affine(value.name, np.ones(1), np.zeros(1))
    changes = {value.name: same}  # how each value is computed from the input
    for node in graph.nodes:
        for position, name in enumerate(node.inputs):
            change = changes.get(name) if isinstance(name, str) else None
            if change is None or not change.invertible:
                continue
            hint = _hint(node, position, graph)
            if hint is not None:
                yield hint[0], hint[1].before(change)
            if hint is not None and hint[0] != SUMS:
                continue
            following = _change(node, graph)
            if following is not None:
                moves = facts(node.kernel).moves and node.kernel not in KEEPS
                change = following.of(_averaged(change) if moves else change)
                changes.update(dict.fromkeys(node.outputs, change))
            elif change is not same and np.any(change.scale != 1) | np.any(change.shift != 0):
                yield SCALE, _natural(change)


def _averaged(change: Affine) -> Affine:
    """One scale and one shift for all channels: once cells have been moved, a channel may be anywhere."""
    return Affine(change.x, change.scale.mean(keepdims=True), change.shift.mean(keepdims=True))


def _natural(change: Affine) -> Range:
    """The range that a model scales and shifts to numbers of size about 1. For pixels it begins at 0."""
    middle, radius = -change.shift / change.scale, 1 / change.scale
    by_mean = np.abs(middle) >= 0.49 * np.abs(radius)
    other = np.where(change.shift == 0, radius, middle - radius)
    least = np.where(by_mean | (change.shift == 0), 0.0, middle + radius)
    most = np.where(by_mean, 2 * middle, other)
    return Range(np.minimum(least, most), np.maximum(least, most))


def _change(node: Node, graph: Graph) -> Affine | None:
    """What a node does to each cell of its first array, if it only scales, shifts and moves cells."""
    name = str(node.inputs[0])
    if facts(node.kernel).moves:
        return Affine(name, np.ones(1), np.zeros(1))
    return _probed(node, graph) if is_users(node.kernel) else affine(node, graph)


def _probed(node: Node, graph: Graph) -> Affine | None:
    """The scale and the shift of a user's function, found by trying it; None if it does something else."""
    spec = graph.specs.get(node.reads[0]) if len(node.reads) == 1 and len(node.outputs) == 1 else None
    if spec is None:
        return None
    shape = tuple(8 if size is None else size for size in (2, *spec.shape[1:]))
    some = make_input(shape, spec.dtype, -2, 2)
    try:
        with np.errstate(all="ignore"):
            at_0, at_1, at_some = (
                np.asarray(node.call({spec.name: x})[0], np.float64) for x in (some * 0, some * 0 + 1, some)
            )
            fits = np.allclose(at_some, at_0 + some * (at_1 - at_0), rtol=1e-4, atol=1e-4)
    except Exception:  # the user's functions may raise any
        return None
    scale, shift = np.mean(at_1 - at_0), np.mean(at_0)
    uniform = np.ptp(at_0) <= 1e-3 * abs(shift) and np.ptp(at_1 - at_0) <= 1e-3 * abs(scale)
    return Affine(spec.name, scale.reshape(1), shift.reshape(1)) if fits and uniform else None


def _hint(node: Node, position: int, graph: Graph) -> tuple[int, Range] | None:
    """What a node says about the range of the array that it reads at this position."""
    tell = HINTS.get(node.kernel)
    wanted = tell(node, graph) if tell is not None and position == (node.kernel in SECOND) else None
    if wanted is not None:
        return wanted
    return _sums(node, graph) if facts(node.kernel).output_axes == (-1,) and position == 0 else None


def _sums(node: Node, graph: Graph) -> tuple[int, Range] | None:
    """What the statistics of a linear layer's sums say about its input, if its deviation is far from 1.

    From an uncorrelated input of mean m and deviation s, a filter w makes sums of mean m Σw and deviation s ‖w‖.
    """
    norm = next((n for n in graph.nodes if n.kernel is kernels.batch_norm and n.inputs[0] == node.output), None)
    kernel, bias = (graph.weights.get(str(name)) for name in (*node.inputs, None)[1:3])
    moments = None if norm is None else _moments(norm.inputs[3:5], graph)
    if kernel is None or moments is None or moments[0].shape != kernel.shape[-1:]:
        return None
    columns = kernel.reshape(-1, kernel.shape[-1]).astype(np.float64)
    sums, squares = columns.sum(axis=0), np.square(columns).sum(axis=0)
    mean = moments[0] - (0.0 if bias is None else bias)
    with np.errstate(all="ignore"):
        deviation = float(np.median(moments[1] / np.sqrt(squares)))
        middle = float(np.sum(mean * sums) / np.sum(sums * sums))
    if not (math.isfinite(deviation) and math.isfinite(middle)) or 1 / 8 < deviation < 8:
        return None
    middle = max(-2 * deviation, min(2 * deviation, middle))
    return SUMS, Range(middle - 2 * deviation, middle + 2 * deviation)


def _moments(names: Sequence[Any], graph: Graph) -> tuple[np.ndarray, np.ndarray] | None:
    """The mean and the deviation in float64, if the graph has the mean and the variance as weights of one axis."""
    mean, variance = (graph.weights.get(str(name)) for name in names)
    if mean is None or variance is None or mean.shape[-1:] not in ((), (mean.size,)):
        return None
    return mean.reshape(-1).astype(np.float64), np.sqrt(np.maximum(variance.reshape(-1).astype(np.float64), 1e-12))


def _statistics(names: slice) -> Callable[[Node, Graph], tuple[int, Range] | None]:
    def tell(node: Node, graph: Graph) -> tuple[int, Range] | None:
        moments = _moments(node.inputs[names], graph)
        if moments is None or node.attrs.get("invert") or node.attrs.get("axis", -1) not in (-1, None):
            return None
        mean, deviation = moments
        return STATISTICS, Range(mean - 2 * deviation, mean + 2 * deviation)

    return tell


def _rows(node: Node, graph: Graph) -> tuple[int, Range] | None:
    table = graph.specs.get(str(node.inputs[0]))
    length = None if table is None or node.attrs.get("axis") != 0 else table.shape[0]
    return None if length is None else (TABLE, Range(0, length - 1, True))


def _vocabulary(node: Node, graph: Graph) -> tuple[int, Range] | None:
    """The range of a vocabulary; if other numbers are an error, its first consecutive numbers."""
    tokens = np.sort(graph.weights.get(str(node.inputs[1]), np.zeros(0))[node.attrs.get("first", 1) :])
    if not tokens.size:
        return None
    if not node.attrs.get("oov", 1):
        tokens = tokens[: 1 + int(np.argmin(np.append(np.diff(tokens) == 1, False)))]
    return TABLE, Range(int(tokens[0]), int(tokens[-1]), True)


def _places(node: Node, graph: Graph) -> tuple[int, Range] | None:
    vocabulary = graph.specs.get(str(node.inputs[1]))
    return (TABLE, Range(0, vocabulary.shape[0] - 1, True)) if vocabulary and vocabulary.shape[0] else None


def _bins(node: Node, graph: Graph) -> tuple[int, Range] | None:
    ends = graph.weights.get(str(node.inputs[0]))
    if ends is None or not ends.size:
        return None
    margin = (ends[-1] - ends[0]) / max(ends.size - 1, 1) or 1.0
    return BINS, Range(float(ends[0] - margin), float(ends[-1] + margin))


SECOND = (np.take, np.searchsorted)  # these read the table first, then what they look up
HINTS: Mapping[Any, Callable[[Node, Graph], tuple[int, Range] | None]] = {
    np.take: _rows,
    np.searchsorted: _bins,
    kernels.one_hot: lambda node, graph: (TABLE, Range(0, node.attrs["num_classes"] - 1, True)),
    kernels.lookup: _vocabulary,
    kernels.inverse_lookup: _places,
    kernels.batch_norm: _statistics(slice(3, 5)),
    kernels.normalization: _statistics(slice(1, 3)),
}

# Inputs of a single kind: floats are made from numbers of size about 1, integers from the ends of their range. None is
# so large that Keras itself answers NaN, as it does if squares become infinite.
EDGES: Mapping[str, tuple[Callable[[np.ndarray], Any], Callable[[int, int], int]]] = {
    "zeros": (np.zeros_like, lambda low, high: min(max(0, low), high)),
    "ones": (np.ones_like, lambda low, high: min(max(1, low), high)),
    "negative numbers": (lambda x: -1 - abs(x), lambda low, high: low),
    "large numbers": (lambda x: 1e4 * x, lambda low, high: high),
    "small numbers": (lambda x: 1e-4 * x, lambda low, high: (low + high + 1) // 2),
}


def edge_inputs(recipes: Iterable[Recipe], seed: int = 0) -> dict[str, list[np.ndarray]]:
    """Inputs at the edge of what a model may get, by their kind."""
    plain = [recipe._replace(low=-2.0, high=2.0) if not recipe.whole else recipe for recipe in recipes]
    some = [
        (recipe, np.clip(x, -4, 4) if not recipe.whole else x)
        for recipe, x in zip(plain, draw(plain, seed), strict=True)
    ]
    return {
        name: [
            np.full_like(x, whole(recipe.low, recipe.high)) if recipe.whole else floats(x).astype(x.dtype)
            for recipe, x in some
        ]
        for name, (floats, whole) in EDGES.items()
    }


def load_inputs(source: Any, inputs: Inputs) -> list[np.ndarray]:
    """The user's own inputs, checked and converted for a model with these `inputs`.

    `source` is an array, several arrays in order or by name, or the path of an .npy file (one input) or an .npz file
    (by name or in order). Raises FileError if the file cannot be read, UsageError if its arrays do not fit.
    """
    if isinstance(source, (str, os.PathLike)):
        name, given = printable(str(source)), _loaded(Path(source))
    elif isinstance(source, Mapping):
        name, given = "inputs", dict(source)
    else:
        listed = source if isinstance(source, (list, tuple)) else [source]
        name, given = "inputs", {f"array {number}": array for number, array in enumerate(listed)}
    names = [each for each, _, _ in inputs]
    if not set(names) <= set(given):
        if len(names) != len(given):
            raise UsageError(f"{name}: holds {', '.join(given) or 'nothing'}; the model takes {', '.join(names)}")
        given = dict(zip(names, given.values(), strict=True))
    try:
        arrays = [kernels.as_input(given[each], each, tuple(shape), dtype) for each, shape, dtype in inputs]
        kernels.check_batch(inputs, *arrays)
        return arrays
    except ValueError as error:
        raise UsageError(f"{name}: {error}") from error


def _loaded(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file by name; the array of an .npy file is called `one array`."""
    name = printable(str(path))
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return {"one array": loaded}
        with loaded:
            return {name: loaded[name] for name in loaded.files}
    except OSError as error:
        raise FileError(f"{name}: cannot be read: {error.strerror or error}") from error
    except Exception as error:  # NumPy and zipfile raise many kinds
        raise UsageError(f"{name}: not an .npy or .npz file of plain arrays: {error}") from error
