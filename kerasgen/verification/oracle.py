"""Asks Keras for the right answer. Only this module imports TensorFlow, and only when it is called."""

from __future__ import annotations

import importlib.util
import json
import os
import threading
import warnings
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kerasgen.builder.cut import Cut
from kerasgen.errors import ParityError, UsageError
from kerasgen.names import printable
from kerasgen.readers import jsonfile
from kerasgen.readers.model import Address, leaves, map_leaves
from kerasgen.verification.compare import flat
from kerasgen.verification.lambdas import Lambdas

# Activations that are flat for large numbers, by Keras's names, and the layers that apply one as their last step.
SATURATING = frozenset("hard_sigmoid hard_tanh sigmoid softmax softsign sparse_sigmoid sparsemax tanh".split())
ACTIVATED = frozenset("""
    Conv1D Conv1DTranspose Conv2D Conv2DTranspose Conv3D Conv3DTranspose Dense DepthwiseConv1D DepthwiseConv2D
    EinsumDense LocallyConnected1D LocallyConnected2D SeparableConv1D SeparableConv2D
    """.split())


class Call(NamedTuple):
    """The outputs of one call of a layer, and its value before a saturating activation."""

    address: Address
    results: list[np.ndarray]
    before: np.ndarray | None


def available() -> bool:
    """Whether TensorFlow is installed."""
    return importlib.util.find_spec("tensorflow") is not None


@dataclass(frozen=True)
class Oracle:
    """A Keras model, its name in messages, and its cut, if it has one."""

    model: Any
    name: str
    library: str = "keras"
    cut: Cut | None = None

    @property
    def version(self) -> str:
        """The version of Keras."""
        return f"Keras {importlib.import_module(self.library).__version__}"

    def __call__(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The model's answers, with the stateful layers reset. Raises ParityError if Keras cannot answer."""
        with self._answering(arrays):
            reset_states(self.model)
            if self.cut is not None:
                return [np.asarray(tensor) for tensor in self._ends(arrays)]
            return [np.asarray(array) for array in flat(_predict(self.model, self.arranged(arrays)))]

    def layers(self, arrays: Sequence[np.ndarray], outputs: list[np.ndarray] | None = None) -> Iterator[Call]:
        """The result of each call of a layer for these inputs, including the calls inside nested models.

        At the end, the model's outputs are added to `outputs`. A layer that another one wraps, or that a subclass of
        Model calls, is not part of Keras's graph, so it is missing here. Raises ParityError if Keras cannot answer.
        """
        with self._answering(arrays):
            reset_states(self.model)
            results: list[Any] = []
            yield from self._calls(arrays, results)
            if outputs is not None:
                outputs += [np.asarray(result) for result in results]

    def _calls(self, arrays: Sequence[Any], outputs: list[Any]) -> Iterator[Call]:
        """Run the model call by call. Its outputs, or the tensors at the cut, are added to `outputs`."""
        graph = _functional(self.model)
        if self.cut is None:
            given, ends = arrays, None
        else:
            rest, ends = iter(arrays), _Ends(self.cut)
            given = [next(rest) if i in self.cut.inputs else None for i in range(len(graph.inputs))]
        tensor = importlib.import_module("tensorflow").convert_to_tensor
        inputs = map_leaves(self.arranged(given), tensor, np.ndarray)
        results = yield from _run(graph, inputs, (), ends)
        outputs += results if ends is None else ends.tensors()

    def _ends(self, arrays: Sequence[Any]) -> list[Any]:
        """The tensors at the cut."""
        outputs: list[Any] = []
        for _ in self._calls(arrays, outputs):
            pass
        return outputs

    def gradients(
        self, arrays: Sequence[np.ndarray], outer: Sequence[np.ndarray | None]
    ) -> tuple[list[Any], list[tuple[np.ndarray, Any]]]:
        """The gradients of the sum of the float outputs times `outer`, by `tf.GradientTape`; None where there is none.

        Returns the gradients of the inputs, then pairs of each float variable's numbers and its gradient. Raises
        ParityError if Keras cannot compute them.
        """
        with self._answering(arrays):
            reset_states(self.model)
            return self._gradients(arrays, outer)

    def _gradients(
        self, arrays: Sequence[np.ndarray], outer: Sequence[np.ndarray | None]
    ) -> tuple[list[Any], list[tuple[np.ndarray, Any]]]:
        tf = importlib.import_module("tensorflow")
        tensors = [tf.constant(array) for array in arrays]
        variables = [variable for variable in self.model.weights if "float" in str(variable.dtype)]
        with tf.GradientTape() as tape:
            tape.watch([tensor for tensor in tensors if tensor.dtype.is_floating])
            answer = self.model(self.arranged(tensors), training=False) if self.cut is None else self._ends(tensors)
            outputs = [tf.convert_to_tensor(y) for y in flat(answer)]
        pairs = [(y, tf.constant(a, y.dtype)) for y, a in zip(outputs, outer, strict=True) if y.dtype.is_floating]
        sources = [*tensors, *(v.value if self.library == "keras" else v for v in variables)]
        targets, weights = [y for y, _ in pairs], [a for _, a in pairs]
        found = tape.gradient(targets, sources, output_gradients=weights) if targets else [None] * len(sources)
        gradients = [None if g is None else np.asarray(tf.convert_to_tensor(g)) for g in found]
        numbers = [np.asarray(variable) for variable in variables]
        return gradients[: len(tensors)], list(zip(numbers, gradients[len(tensors) :], strict=True))

    def arranged(self, arrays: Sequence[Any]) -> Any:
        """The inputs in the form that the model takes."""
        struct = getattr(self.model, "_inputs_struct", getattr(self.model, "_nested_inputs", None))  # Keras 3, Keras 2
        if isinstance(struct, dict):
            return dict(zip(struct, arrays, strict=True))
        return list(arrays) if len(arrays) > 1 else arrays[0]

    @contextmanager
    def _answering(self, arrays: Sequence[np.ndarray]) -> Iterator[None]:
        try:
            with _silence():
                yield
        except Exception as error:
            raise ParityError(
                f"{self.name}: Keras cannot answer inputs of shape {[a.shape for a in arrays]}: {_reason(error)}"
            ) from error


class _Ends:
    """The calls that a cut needs, and the tensors at the cut."""

    def __init__(self, cut: Cut) -> None:
        self.cut = cut
        self._made: dict[Address, list[Any]] = {}

    def note(self, address: Address, results: list[Any]) -> None:
        """Keep the tensors that a call returned, if they are at the cut."""
        if address in self.cut.outputs.values():
            self._made[address] = results

    def tensors(self) -> list[Any]:
        """The tensors of all outputs, in order."""
        return [tensor for address in self.cut.outputs.values() for tensor in self._made[address]]


def oracle(
    source: Any,
    weights: Any,
    keras_version: str,
    config: Any = None,
    *,
    by_name: bool = False,
    cut: Cut | None = None,
    lambdas: Lambdas | None = None,
) -> Oracle:
    """The original model, loaded by Keras; with `config`, a model of that architecture with the weights of the file.

    With `by_name`, only the layers in `config` get their weights, from a legacy file. `cut` says where the model is
    cut. `lambdas` decides how its Lambdas are run; by default, code from the file never runs.

    A file of Keras 1 or 2 is loaded by tf_keras if that is installed, because Keras 3 changed the meaning of some
    settings. Raises UsageError if TensorFlow is missing, ParityError if Keras cannot load the model.
    """
    if not isinstance(source, (str, os.PathLike)):
        libraries = {kind.__module__.partition(".")[0] for kind in type(source).__mro__}
        return Oracle(source, "the model", "tf_keras" if "tf_keras" in libraries else "keras", cut)
    if not available():
        raise UsageError("verification needs TensorFlow: pip install 'kerasgen-numpy[verify]'")
    name = printable(str(source))
    library = _library(keras_version)
    try:
        with _silence(), (lambdas or Lambdas()).replaced(keras := importlib.import_module(library)):
            if config is not None:
                kind = keras.Sequential if config["class_name"] == "Sequential" else keras.Model
                model = kind.from_config(config["config"])
                model.load_weights(os.fspath(weights or source), **({"by_name": True} if by_name else {}))
            elif weights is None:
                model = keras.models.load_model(os.fspath(source), compile=False)
            else:
                architecture = jsonfile.document(Path(source).read_bytes(), name)
                model = keras.models.model_from_json(json.dumps(architecture))
                model.load_weights(os.fspath(weights))
    except Exception as error:
        raise ParityError(f"{name}: {library} cannot load the model: {_reason(error)}") from error
    return Oracle(model, name, library, cut)


def _library(keras_version: str) -> str:
    old = keras_version.split(".")[0] in ("1", "2") and importlib.util.find_spec("tf_keras") is not None
    return "tf_keras" if old else "keras"


class _Silencer:
    """Points file descriptor 2 to /dev/null and turns warnings off while any thread is inside.

    Both belong to the whole process: the first thread to enter changes them, the last one to leave restores them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._restore = ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if not self._users:
                self._restore = _silenced()
            self._users += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                self._restore.close()


def _silenced() -> ExitStack:
    """Silence the process, until the returned stack is closed."""
    with ExitStack() as restore:
        kept = os.dup(2)
        restore.callback(os.close, kept)
        restore.callback(os.dup2, kept, 2)
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        restore.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        return restore.pop_all()


_SILENCER = _Silencer()


@contextmanager
def _silence() -> Iterator[None]:
    """Keep TensorFlow's logs and Keras's warnings off stderr: none of them is about the user's model.

    The C++ part bypasses `sys.stderr`, and writes before it reads its settings. TF_CPP_MIN_LOG_LEVEL=0 shows all logs.
    """
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") == "0":
        yield
        return
    with _SILENCER:
        yield


def _predict(model: Any, batch: Any) -> Any:
    """The model's answer as its users get it: from `predict_on_batch` where that works.

    When called directly, Keras 3.15 adds a channels-first bias along the width if that has as many cells as there are
    filters. When compiled, as in `predict`, it does not; but it refuses models whose names TensorFlow cannot use, and
    Keras 2 converts float64 to float32. For one batch, `predict_on_batch` takes half the time of `predict`.
    """
    if all(array.dtype != np.float64 for array in leaves(batch, np.ndarray)):
        with suppress(Exception):  # some layers cannot be compiled: ValueError, TypeError or an error of Keras's own
            return model.predict_on_batch(batch)
    return model(batch, training=False)


def reset_states(model: Any) -> None:
    """Reset the stateful layers of a model to zeros."""
    for layer in model._flatten_layers():
        if getattr(layer, "stateful", False) and layer is not model and hasattr(layer, "reset_states"):
            layer.reset_states()


def _run(graph: Any, inputs: Any, around: Address, ends: _Ends | None) -> Generator[Call, None, list[Any]]:
    """Run a functional model call by call, as it does itself; returns its outputs.

    A tensor is dropped after its last reader. Calls that `ends` does not need are left out; outputs that depend on them
    are None.
    """
    flatten = importlib.import_module("tensorflow").nest.flatten
    values = {id(symbol): tensor for symbol, tensor in zip(graph.inputs, flatten(inputs), strict=True)}
    nodes = [node for depth in sorted(graph._nodes_by_depth, reverse=True) for node in graph._nodes_by_depth[depth]]
    known = set(map(id, nodes))
    unread = Counter(id(symbol) for node in nodes if not node.is_input for symbol in flatten(node.input_tensors))
    unread.update(id(symbol) for symbol in graph.outputs)
    for node in nodes:
        if node.is_input:
            continue
        layer = getattr(node, "operation", None) or node.layer  # Keras 3, Keras 2
        calls = [id(call) for call in layer._inbound_nodes if id(call) in known]
        address = (*around, (layer.name, calls.index(id(node))))
        if ends is not None and not ends.cut.needs(address):
            continue
        args, kwargs = _arguments(node, values)
        inner = _functional(layer)
        if hasattr(inner, "_nodes_by_depth"):
            results = yield from _run(inner, args[0] if args else kwargs["inputs"], address, ends)
        else:
            if "training" in kwargs or getattr(layer, "_call_has_training_arg", False):
                kwargs["training"] = False
            results = flatten(layer(*args, **kwargs))
            yield Call(address, [np.asarray(tensor) for tensor in results], _before(layer, args, kwargs))
        if ends is not None:
            ends.note(address, results)
        values.update((id(symbol), tensor) for symbol, tensor in zip(flatten(node.outputs), results, strict=True))
        unread.subtract(id(symbol) for symbol in flatten(node.input_tensors))
        for symbol in flatten((node.input_tensors, node.outputs)):
            if unread[id(symbol)] <= 0:
                values.pop(id(symbol), None)
    return [values.get(id(symbol)) for symbol in graph.outputs]


def _before(layer: Any, args: Any, kwargs: Any) -> np.ndarray | None:
    """A layer's value before its saturating activation, which hides most errors; None if it has no such activation."""
    activation = getattr(layer, "activation", None)
    if getattr(activation, "__name__", "") not in SATURATING or type(layer).__name__ not in ACTIVATED:
        return None
    layer.activation = lambda x: x
    try:
        return np.asarray(layer(*args, **kwargs))
    finally:
        layer.activation = activation


def _functional(model: Any) -> Any:
    """The functional model inside a Sequential model of Keras 3; otherwise the model itself."""
    return getattr(model, "_functional", None) or model


def _arguments(node: Any, values: Mapping[int, Any]) -> Any:
    """The arguments of a call, with symbols replaced by their values or None, in Keras 3 or Keras 2."""
    values = {id(symbol): values.get(id(symbol)) for symbol in _symbols(node)}
    if hasattr(node, "arguments"):
        return node.arguments.fill_in(values)
    return node.map_arguments({str(id(x)): [values[id(x)]] * len(node.keras_inputs) for x in node.keras_inputs})


def _symbols(node: Any) -> Any:
    """The symbolic tensors among the arguments of a call, in Keras 3 or Keras 2."""
    return node.arguments.keras_tensors if hasattr(node, "arguments") else node.keras_inputs


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
