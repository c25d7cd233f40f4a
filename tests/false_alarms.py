"""Whether the proofs blame modules that are right: fresh exports, with every kind of input.

    python tests/false_alarms.py [--short] [--cases] [--architectures] [--part K/N] [--only NAME] [--kinds KIND ...]

The models are the parity cases and the networks of `keras.applications`, every weight random. Of each, the module is
written and compared with Keras as `kerasgen verify` does it: with random inputs of two seeds, with those of
`--inputs edge`, and, of the cases, with what the parity tests give them. `--selftest` must pass, too. Whatever is
refused is printed, and is a fault of the proof or of a kernel. What Keras itself cannot answer goes to stderr. The same
inputs are made every time.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import inspect
import io
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # without it, some processors have no convolutions channels first

import numpy as np

from kerasgen.verification.oracle import _silence

with _silence():  # of TensorFlow, which is loaded now
    import keras
    from cases import CASES, Case
    from support import randomize

import kerasgen
from kerasgen.bench import suite
from kerasgen.builder import build
from kerasgen.errors import ParityError
from kerasgen.readers import read
from kerasgen.verification.inputs import draw, edge_inputs, recipes
from kerasgen.verification.verify import compared
from kerasgen.verification.verify import original as keras_original

ARCHITECTURES = sorted(name for name, thing in vars(keras.applications).items() if inspect.isfunction(thing))
# The smallest images that they take, where that is more than 32 cells wide; all are 75 wide at least.
SIZES = {"NASNetLarge": 96, "NASNetMobile": 96}
SIZE = 75
SHORT = (
    "clahe of integers",
    "gru reset before",
    "layer_norm axes",
    "mixed_float16",
    "mixed_float16 then float32",
    "multi_head_attention axes mask",
    "multi_head_attention mask by head",
    "ops.add of int8",
    "ops.cast of float16",
    "ops.logdet",
    "ops.nanprod keepdims",
    "ops.saturate_cast int32",
    "ops.ssim settings",
)


class Subject(NamedTuple):
    """A model, by a function that makes it, and inputs of its own, if it has some."""

    name: str
    make: Callable[[], Any]
    own: Callable[[Any], list[np.ndarray]] | None = None


def case(row: Case) -> Subject:
    """A parity case, with the inputs of the parity tests."""

    def make() -> Any:
        model = randomize(row.model())
        if row.finish is not None:
            row.finish(model)
        return model

    def own(model: Any) -> list[np.ndarray]:
        random = np.random.RandomState(7)
        arrays = []
        for tensor in model.inputs:
            unknown = iter(row.sizes * 2)
            shape = [3, *(next(unknown) if size is None else size for size in tensor.shape[1:])]
            low, high = row.values or ((-4, 4) if "float" in tensor.dtype else (0, 4))
            values = random.uniform(low, high, shape) if "float" in tensor.dtype else random.randint(low, high, shape)
            arrays.append(values.astype(tensor.dtype))
        return arrays

    return Subject(row.name, make, own)


def architecture(name: str) -> Subject:
    """A network of `keras.applications`, as large as it is, of small images."""

    def make() -> Any:
        size = SIZES.get(name, SIZE)
        model = getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3))
        scaled = any(isinstance(layer, (keras.layers.Rescaling, keras.layers.Normalization)) for layer in model.layers)
        random = np.random.Generator(np.random.SFC64(ARCHITECTURES.index(name)))
        suite.randomize(model, random, suite.images(random, 8, (size, size, 3), scaled))
        return model

    return Subject(name, make)


def alarms(subject: Subject, kinds: Sequence[str] = ()) -> Iterator[str]:
    """What refuses the module of this model, a line for each kind of inputs; all kinds unless some are named."""
    model = subject.make()
    module = kerasgen.load(model, verify=False)
    if not passes_selftest(module):
        yield "--selftest: refused"
    file = read(model)
    built, truth = build(file), keras_original(model, None, file)
    wanted = recipes(built.bind(), file.model)
    given = {"random": draw(wanted), "other seed": draw(wanted, 1), **edge_inputs(wanted)}
    if subject.own is not None:
        given["own"] = subject.own(model)
    expected = {}
    for kind, arrays in given.items():
        if not kinds or kind in kinds:
            try:
                expected[kind] = truth(arrays)
            except ParityError as error:  # no blame of the module
                print(f"{subject.name}: {kind}: {error}", file=sys.stderr)
    if compared(built, module, {kind: given[kind] for kind in expected}, expected, truth).ok:
        return
    for kind, answers in expected.items():
        result = compared(built, module, {kind: given[kind]}, {kind: answers}, truth)
        if not result.ok:
            yield f"{kind}: {result}"


def passes_selftest(module: Any) -> bool:
    """Whether the module answers as was recorded; a module that records nothing does."""
    if module.SELFTEST is None:
        return True
    reset = getattr(module, "reset_states", None)
    with contextlib.redirect_stdout(io.StringIO()):
        return bool(module.selftest(module.predict, module.INPUTS, module.OUTPUTS, module.SELFTEST, reset))


def part_of(subjects: Sequence[Subject], part: str) -> Sequence[Subject]:
    """Every Nth of them from the Kth on, K counting from 1."""
    first, step = map(int, part.split("/"))
    return subjects[first - 1 :: step]


def sweep(subjects: Sequence[Subject], kinds: Sequence[str] = ()) -> Mapping[str, list[str]]:
    """The alarms by the subjects' names, printed as they come; the time of each goes to stderr."""
    found = {}
    for subject in subjects:
        start = time.monotonic()
        try:
            with np.errstate(all="ignore"):
                lines = list(alarms(subject, kinds))
        except Exception as error:
            lines = [f"{type(error).__name__}: {error}"]
        gc.collect(0 if subject.own else 2)
        for line in lines:
            print(f"{subject.name}: {line}", flush=True)
        print(f"{subject.name}: {len(lines)} alarms, {time.monotonic() - start:.1f} s", file=sys.stderr, flush=True)
        if lines:
            found[subject.name] = lines
    return found


def main() -> int:
    """Run the command line; 1 if there was an alarm."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="a few small models")
    parser.add_argument("--cases", action="store_true", help="the parity cases alone")
    parser.add_argument("--architectures", action="store_true", help="the networks of keras.applications alone")
    parser.add_argument("--part", default="1/1", help="every Nth model from the Kth on: 2/3")
    parser.add_argument("--only", action="append", help="this model; may be given several times")
    parser.add_argument("--kinds", nargs="+", default=[], help="these kinds of inputs alone, such as random or zeros")
    options = parser.parse_args()
    cases, networks = [case(row) for row in CASES.values()], [architecture(name) for name in ARCHITECTURES]
    subjects = cases * (not options.architectures) + networks * (not options.cases)
    names = options.only or (SHORT if options.short else [subject.name for subject in subjects])
    chosen = part_of([subject for subject in subjects if subject.name in names], options.part)
    found = sweep(chosen, options.kinds)
    print(f"{len(chosen)} models, {len(found)} with an alarm")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
