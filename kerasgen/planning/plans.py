"""The plans of all functions of a module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from kerasgen.emit.quantize import check_patterns, compact, decoded
from kerasgen.emit.training import Training
from kerasgen.errors import UsageError
from kerasgen.graph.ir import Graph
from kerasgen.graph.plan import Plan
from kerasgen.lowering import Lowered, lower
from kerasgen.lowering.limits import check_limits
from kerasgen.names import printable
from kerasgen.passes import PIPELINES, PURE, only_outputs, optimize
from kerasgen.planning.options import Options
from kerasgen.planning.prepared import Prepared
from kerasgen.streaming.plans import plan_streaming
from kerasgen.streaming.walk import Step
from kerasgen.tuning import Tune, Works, works_of


class Plans(NamedTuple):
    """The plan of `predict`, and the plans of the other functions that are asked for.

    `lowered` is the lowered graph of a module without NumPy; `works` are what a tunable module can time. If the weights
    are `stored` in fewer bytes, the plans hold the decoded weights, and `exact` is the plan of `predict` with the
    model's own weights.
    """

    predict: Plan
    activations: Plan | None = None
    training: Training | None = None
    step: Step | None = None
    lowered: Lowered | None = None
    works: Works | None = None
    stored: Mapping[str, np.ndarray] | None = None
    exact: Plan | None = None


def plan_module(model: Prepared, options: Options) -> Plans:
    """The plans of a module with these options. Raises UsageError if the options cannot be combined."""
    graph = model.graph
    if options.target == "pure":
        return _pure_plan(model, options)
    if options.gradients is not None:
        for name in ("activations", "streaming"):
            if getattr(options, name):
                raise UsageError(f"a module has either `{name}` or `gradients`")
        training = Training(options.gradients.plan(model.built, graph, options.level), options.gradients)
        return Plans(training.plan.predict, training=training)
    if options.streaming:
        if options.activations:
            raise UsageError("a module has either `activations` or `streaming`")
        streaming = plan_streaming(graph, options.level, model.built)
        return _compacted(Plans(streaming.predict, step=streaming.step), model, options)
    works = _works(model, options) if options.tunable else None
    tuning = options.tuned.tuning if options.tuned else None
    full = optimize(_whole(model, options), PIPELINES[options.level], tuning)
    if not options.activations:
        return _compacted(Plans(full, works=works), model, options)
    predict = only_outputs(full, len(graph.outputs))
    return _compacted(Plans(predict, activations=full, works=works), model, options)


def tuned(model: Prepared, options: Options, tune: Tune) -> tuple[Prepared, Options]:
    """The model and the options with the tuning from a file, which is measured if it is missing."""
    found = tune.of(_works(model, options))
    warning = "; ".join(filter(None, (model.warning, found.warning)))
    return model._replace(warning=warning), replace(options, tuned=found)


def _whole(model: Prepared, options: Options) -> Graph:
    """The graph that a module is planned from."""
    return model.graph.with_every_layer() if options.activations else model.graph


def _works(model: Prepared, options: Options) -> Works:
    """The layers of the module that can be computed in several ways."""
    return works_of(_whole(model, options), options.level, printable(model.file.source))


def _compacted(plans: Plans, model: Prepared, options: Options) -> Plans:
    """The plans with the weights as the module decodes them, if they are stored in fewer bytes."""
    if not options.compact:
        return plans
    full = plans.activations or plans.predict
    check_patterns(options.keep, [*full.graph.weights, *(layer.name for layer in model.built.layers)])
    stored = compact(full, options.weights_dtype, options.keep)
    activations, step = plans.activations and decoded(plans.activations, stored), plans.step
    if step is not None:
        stored = {**compact(step.without(full.graph.weights), options.weights_dtype, options.keep), **stored}
        step = replace(step, graph=decoded(Plan(step.graph), stored).graph)
    predict = decoded(plans.predict, stored)
    return plans._replace(predict=predict, activations=activations, step=step, stored=stored, exact=plans.predict)


def _pure_plan(model: Prepared, options: Options) -> Plans:
    """The plan of a module without NumPy. Raises UnsupportedModelError if the model cannot have one."""
    for name in ("activations", "gradients", "max_memory", "minimal", "streaming", "tiled"):
        if getattr(options, name):
            raise UsageError(f"a module without NumPy has no `{name}`")
    if options.processing:
        raise UsageError("a module without NumPy has neither `labels` nor `preprocess`")
    plan = optimize(model.graph, PURE[options.level])
    lowered = lower(plan.graph)
    check_limits(lowered, model.file.source, {layer.name: layer.kind for layer in model.built.layers})
    return Plans(plan, lowered=lowered)
