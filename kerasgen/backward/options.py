"""What `export --gradients` is asked for, and what that means for a model."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any

from kerasgen.backward.plans import TrainingPlan, plan_training
from kerasgen.builder import Built
from kerasgen.errors import UnsupportedModelError, UsageError
from kerasgen.graph.ir import Graph
from kerasgen.kernels import losses, optimizers
from kerasgen.readers.model import Variable

LOSSES: dict[str, Callable[..., Any]] = {
    "mean_squared_error": losses.mean_squared_error_loss,
    "mean_absolute_error": losses.mean_absolute_error_loss,
    "binary_crossentropy": losses.binary_crossentropy_loss,
    "categorical_crossentropy": losses.categorical_crossentropy_loss,
    "sparse_categorical_crossentropy": losses.sparse_categorical_crossentropy_loss,
}
OPTIMIZERS: dict[str, Callable[..., Any]] = {
    "sgd": optimizers.SGD,
    "adam": optimizers.Adam,
    "rmsprop": optimizers.RMSprop,
}
METHODS = ("saliency", "integrated_gradients", "grad_cam")


@dataclass(frozen=True)
class GradientOptions:
    """The gradients of a module.

    `trainable` are patterns of the names of weights or layers, as a shell has them; None for what is trainable in the
    file. `inputs` asks for the gradients of the inputs. `loss` is one of LOSSES, `from_logits` tells that the model
    answers with logits, `optimizer` is one of OPTIMIZERS, with settings: "sgd" or "sgd(learning_rate=0.1)". `explain`
    are METHODS; grad_cam names a layer: "grad_cam=conv2d_3".
    """

    trainable: Sequence[str] | None = None
    inputs: bool = True
    loss: str = ""
    from_logits: bool = False
    optimizer: str = ""
    explain: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Raise UsageError for what does not exist or go together."""
        if self.loss and self.loss not in LOSSES:
            raise UsageError(f"the loss is one of {', '.join(LOSSES)}, not {self.loss!r}")
        if self.from_logits and "crossentropy" not in self.loss:
            raise UsageError("`from_logits` belongs to a loss that is a crossentropy")
        if bool(self.loss) != bool(self.optimizer):
            raise UsageError("a step of training takes both a loss and an optimizer")
        self.parsed_optimizer()
        for method, layer in self.methods():
            if method not in METHODS or bool(layer) != (method == "grad_cam"):
                raise UsageError(f"`explain` is one of saliency, integrated_gradients, grad_cam=LAYER, not {method!r}")

    def parsed_optimizer(self) -> tuple[str, dict[str, Any]]:
        """The name of the optimizer and its settings."""
        name, _, settings = self.optimizer.rstrip(")").partition("(")
        if name and name not in OPTIMIZERS:
            raise UsageError(f"the optimizer is one of {', '.join(OPTIMIZERS)}, not {name!r}")
        found: dict[str, Any] = {}
        for setting in filter(None, settings.split(",")):
            key, _, value = (part.strip() for part in setting.partition("="))
            known = inspect.signature(OPTIMIZERS[name]).parameters
            if key not in known or not re.fullmatch(r"True|False|\d+\.?\d*(e-?\d+)?", value):
                raise UsageError(f"{name} takes {', '.join(known)}, as in {name}(learning_rate=0.01)")
            found[key] = ast.literal_eval(value)
        return name, found

    def methods(self) -> list[tuple[str, str]]:
        """Each way to explain an answer, with the layer for Grad-CAM."""
        return [(method, layer) for method, _, layer in (each.partition("=") for each in self.explain)]

    def header(self) -> Any:
        """What a module says of them: those that are not the default, True if all are."""
        settings = {key: value for key, value in asdict(self).items() if value != getattr(GradientOptions, key)}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in settings.items()} or True

    @classmethod
    def of(cls, header: Any) -> GradientOptions:
        """The options of which `header` tells."""
        settings: Any = header if isinstance(header, dict) else {}
        chosen: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()}
        return cls(**chosen)

    def plan(self, built: Built, graph: Graph, level: int) -> TrainingPlan:
        """The plans of a module of this graph, which is `built` with its weights, at a level of optimisation.

        Raises UsageError for a layer or a pattern that does not exist, UnsupportedModelError where a kernel on the way
        has no derivative; both name the file.
        """
        inputs = [value.name for value in graph.inputs if self.inputs and value.dtype.startswith("float")]
        layers = [layer for _, layer in self.methods() if layer]
        try:
            if self.explain and (len(graph.inputs), len(graph.outputs), len(inputs)) != (1, 1, 1):
                raise UsageError("what can be explained has one input, of floats, and one output")
            for layer in layers:
                if layer not in graph.layers:
                    raise UsageError(f"no layer is called {layer!r}; the last ones: {', '.join([*graph.layers][-8:])}")
            return plan_training(graph, level, self.variables(built), inputs=inputs, layers=layers)
        except (UsageError, UnsupportedModelError) as error:
            raise type(error)(f"{built.file.source}: {error}") from error

    def variables(self, built: Built) -> tuple[str, ...]:
        """The names of the weights that can be trained. Raises UsageError for a pattern that fits none."""
        graph = built.graph
        floats = [v for v in built.variables if v.trainable and not v.state and "float" in built.specs[v.key].dtype]
        read = {name for node in graph.nodes for name in node.reads}
        floats = [variable for variable in floats if variable.key in read]
        if self.trainable is None:
            return tuple(variable.key for variable in floats if not variable.frozen)
        names: dict[str, None] = {}
        for pattern in self.trainable:
            found = [variable.key for variable in floats if _fits(variable, pattern)]
            if not found:
                known = ", ".join(dict.fromkeys(variable.owner[-1] for variable in floats[-8:]))
                raise UsageError(f"{pattern!r} fits no weight that can be trained; the last layers with some: {known}")
            names.update(dict.fromkeys(found))
        return tuple(variable.key for variable in floats if variable.key in names)


def _fits(variable: Variable, pattern: str) -> bool:
    layer = variable.key.rpartition("/")[0]
    return any(fnmatchcase(name, pattern) for name in (variable.key, layer, *variable.owner))
