"""Recurrent layers and masks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kerasgen import kernels
from kerasgen.graph.fact_kinds import Kernel
from kerasgen.graph.ir import Operand
from kerasgen.lowering.call import Call, Expression, NoCounterpart, Result, lowers
from kerasgen.lowering.elementwise import CELLS, ROWS
from kerasgen.lowering.window import stepwise
from kerasgen.pure_kernels import recurrent

LAYERS: Mapping[Kernel, Kernel] = {
    kernels.gru: recurrent.gru,
    kernels.lstm: recurrent.lstm,
    kernels.simple_rnn: recurrent.simple_rnn,
}
ACTIVATIONS = {**CELLS, **ROWS}


@lowers(*LAYERS)
def layer(call: Call) -> Any:
    """Both kernels have one row for each unit of each gate."""
    if call.rows(call.x) > 1 and (len(call.node.outputs) > 1 or any(map(call.is_batched, others(call)))):
        raise NoCounterpart("it has masks or states for samples that are steps of another layer")
    settings = dict(call.settings)
    for name in ("activation", "recurrent_activation"):
        if name in settings:
            if settings[name] not in ACTIVATIONS:
                raise NoCounterpart(f"its {name} {settings[name].__name__} has no counterpart without NumPy")
            settings[name] = ACTIVATIONS[settings[name]]
    x, kernel, recurrent_kernel, *rest = call.node.inputs
    matrices = (call.weight(call.constant(name).T, name) for name in (kernel, recurrent_kernel))
    return stepwise(call, LAYERS[call.node.kernel], (x, *matrices, *map(call.flat, rest)), settings)


def others(call: Call) -> list[Operand]:
    """The operands after the first."""
    return [operand for operand in call.node.inputs[1:] if isinstance(operand, str)]


@lowers(kernels.masked)
def masked(call: Call) -> Result:
    """The same settings."""
    x, mask = call.node.inputs
    if call.is_batched(x) != call.is_batched(mask):
        raise NoCounterpart("its mask is that of other samples")
    return Expression(recurrent.masked, (x, mask), call.settings)


@lowers(kernels.masked_average)
def masked_average(call: Call) -> Result:
    """A list has no axes that could be kept."""
    return Expression(recurrent.masked_average, tuple(call.node.inputs), {})
