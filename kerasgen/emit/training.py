"""What a module with gradients has beside `predict`, as the template prints it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from kerasgen.backward.options import LOSSES, OPTIMIZERS, GradientOptions
from kerasgen.backward.plans import TrainingPlan
from kerasgen.emit.body import called, called_by_nodes
from kerasgen.emit.gradients import BackwardBody, ForwardBody
from kerasgen.emit.target import Target
from kerasgen.graph.plan import Plan
from kerasgen.kernels import explain


@dataclass(frozen=True)
class Training:
    """The gradients of a module: their plans, and what goes with them."""

    plan: TrainingPlan
    options: GradientOptions

    def functions(self, target: Target) -> Iterator[Callable[..., Any]]:
        """The functions that the module must contain."""
        yield from called(self.plan.forward, target)
        yield from called_by_nodes(Plan(self.plan.backward.graph), target)
        if self.options.loss:
            yield from (LOSSES[self.options.loss], OPTIMIZERS[self.options.parsed_optimizer()[0]])
        if self.options.explain:
            yield explain.chosen

    def printed(self, target: Target) -> dict[str, Any]:
        """What the template prints."""
        backward = BackwardBody(self.plan, target)
        wanted = {"inputs": self.plan.inputs, "weights": self.plan.trainable}
        return {
            "forward": ForwardBody(self.plan, target).lines(),
            "backward": backward.lines(),
            "parameters": backward.parameters,
            "trainable": ascii(self.plan.trainable) if self.plan.trainable else "",
            "both": self.plan.both,
            "of": " and, by name, in the ".join(of for of in ("inputs", "weights") if wanted[of]),
            "several": len(self.plan.forward.graph.inputs) > 1 or len(self.plan.forward.graph.output_names) > 1,
            "steps": list(self._steps()) if self.options.loss else [],
            "optimizer": self._optimizer() if self.options.optimizer else "",
            "explain": [method for method, _ in self.options.methods()],
            "grad_cam": next(iter(self.plan.layers.values()), ""),
        }

    def _optimizer(self) -> str:
        name, settings = self.options.parsed_optimizer()
        return f"{OPTIMIZERS[name].__name__}({', '.join(f'{key}={value!r}' for key, value in settings.items())})"

    def _steps(self) -> Iterator[str]:
        """The lines of `train_step`."""
        graph, loss = self.plan.forward.graph, LOSSES[self.options.loss].__name__
        logits = ", from_logits=True" if self.options.from_logits else ""
        several = len(graph.output_names) > 1
        yield f"outputs, saved = forward({'*' * (len(graph.inputs) > 1)}inputs)"
        if several:
            outputs = "outputs.values()" if graph.keyed else "outputs"
            yield f"pairs = [{loss}(y, t{logits}) for y, t in zip({outputs}, targets)]"
            yield "loss = sum(each for each, _ in pairs)"
            gradients = "*(d for _, d in pairs)"
        else:
            y = f"outputs[{graph.output_names[0]!a}]" if graph.keyed else "outputs"
            yield f"loss, d = {loss}({y}, targets{logits})"
            gradients = "d"
        yield f"_, d_weights = backward(saved, {gradients}{', inputs=False' if self.plan.both else ''})"
        yield "OPTIMIZER.update(W, d_weights)"
        yield "return loss"
