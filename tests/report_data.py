"""Data of reports without a model behind them: what the page's test shows."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

SOURCE = [
    '"""A module."""',
    "import numpy as np",
    "",
    "def predict(x):",
    "    x = conv2d(x, W['a'])",
    "    return x < 1",
]
HTML = [
    '<span class="sd">&quot;&quot;&quot;A module.&quot;&quot;&quot;</span>',
    '<span class="kn">import</span> <span class="nn">numpy</span> <span class="k">as</span> <span class="nn">np</span>',
    "",
    '<span class="k">def</span> <span class="nf">predict</span><span class="p">(</span><span class="n">x</span>):',
    '    x <span class="o">=</span> conv2d(x, W[<span class="s1">&#39;a&#39;</span>])',
    '    <span class="k">return</span> x <span class="o">&lt;</span> <span class="mi">1</span>',
]


def layer(id: str, kind: str = "Conv2D", *, group: str = "", **values: Any) -> dict[str, Any]:
    """A layer that nothing is known of but what is said here."""
    return {
        "id": id,
        "name": id.removeprefix(f"{group}/") if group else id,
        "kind": kind,
        "group": group,
        "shapes": [[None, 28, 28, 8]],
        "parameters": 0,
        "macs": None,
        "config": {},
        "note": "",
        "weights": [],
        "lines": [],
        "time": None,
        "memory": None,
        "output_bytes": None,
        "error": None,
        "problem": "",
        "activation": None,
        **values,
    }


def group(id: str, around: str = "") -> dict[str, str]:
    """A nested model, perhaps in another one."""
    return {"id": id, "name": id.removeprefix(f"{around}/"), "kind": "Functional", "group": around}


def error(relative: float, tolerance: float = 1e-5) -> dict[str, Any]:
    return {"relative": relative, "absolute": relative * 3, "tolerance": tolerance, "ok": relative <= tolerance}


def weight(name: str, shape: list[int], seed: int = 0) -> dict[str, Any]:
    counts, _ = np.histogram(np.random.RandomState(seed).standard_normal(2000), 32)
    numbers = {"min": -3.2, "max": 3.1, "mean": 0.01, "std": 1.0, "zeros": 0.0, "not_finite": 0}
    return {"name": name, "shape": shape, "dtype": "float32", **numbers, "counts": counts.tolist()}


def maps(channels: int = 8, side: int = 12) -> dict[str, Any]:
    rows, columns = np.mgrid[0:side, 0:side]
    pixels = np.stack([(rows * k + columns * 20) % 256 for k in range(1, channels + 1)]).astype(np.uint8)
    return {
        "kind": "maps",
        "height": side,
        "width": side,
        "channels": 32,
        "shown": list(range(channels)),
        "min": 0.0,
        "max": 2.5,
        "pixels": base64.b64encode(pixels.tobytes()).decode(),
    }


def lines(channels: int = 3, steps: int = 40) -> dict[str, Any]:
    wave = np.sin(np.arange(steps) / 4 + np.arange(channels)[:, None]) * 127 + 128
    return {
        "kind": "lines",
        "steps": steps,
        "channels": channels,
        "shown": list(range(channels)),
        "min": -1.0,
        "max": 1.0,
        "pixels": base64.b64encode(wave.astype(np.uint8).tobytes()).decode(),
    }


def values(size: int = 10) -> dict[str, Any]:
    numbers = np.random.RandomState(1).standard_normal(size)
    return {
        "kind": "values",
        "size": size,
        "min": float(numbers.min()),
        "max": float(numbers.max()),
        "values": numbers.tolist(),
    }


def report(layers: list[dict[str, Any]], edges: list[list[str]], **values: Any) -> dict[str, Any]:
    """A report on these layers that Keras agrees with."""
    tensor = {"name": "image", "shape": [None, 28, 28, 1], "dtype": "float32"}
    return {
        "version": 1,
        "kerasgen": "0.1.0",
        "model": {
            "name": "digits",
            "source": "digits.keras",
            "keras_version": "3.5.0",
            "sha256": "0" * 64,
            "parameters": sum(layer["parameters"] for layer in layers),
            "macs": 123_456_789,
            "weight_bytes": 4_000_000,
            "inputs": [tensor],
            "outputs": [{"name": "probs", "shape": [None, 10], "dtype": "float32"}],
        },
        "supported": True,
        "problems": [],
        "warning": "",
        "layers": layers,
        "groups": [],
        "edges": edges,
        "source": "\n".join(SOURCE),
        "source_html": HTML,
        "scan": {"source": "digits.keras", "dangerous": False, "findings": []},
        "verification": {
            "compared": True,
            "reason": "",
            "ok": True,
            "outputs": [{"name": "probs", **error(2e-7)}],
            "summary": "the outputs differ from Keras by 2e-07 at most",
        },
        "profile": {"samples": 1, "runs": 5, "seconds": 0.0123},
        "given": "random",
        **values,
    }


def small() -> dict[str, Any]:
    """A nested model of four layers between an input and two branches that meet, with everything that can be shown."""
    config = {"filters": 8, "kernel_size": [3, 3], "padding": "same", "name": "conv"}
    layers = [
        layer("image", "InputLayer", shapes=[[None, 28, 28, 1]], lines=[4], time=1e-6, memory=3136),
        layer(
            "conv",
            parameters=80,
            macs=56_448,
            config=config,
            weights=[weight("kernel", [3, 3, 1, 8]), weight("bias", [8], 1)],
            lines=[5, 6],
            time=3e-4,
            memory=90_000,
            output_bytes=25_088,
            error=error(2e-7),
            activation=maps(),
        ),
        layer("block/in", "InputLayer", group="block"),
        layer("block/norm", "BatchNormalization", group="block", parameters=32, time=2e-5, error=error(0.0)),
        layer("block/relu", "ReLU", group="block", time=1e-5, error=error(4e-8)),
        layer("block/out", group="block", parameters=584, macs=451_584, time=5e-4, memory=200_000, error=error(3e-7)),
        layer("left", "LSTM", shapes=[[None, 40, 3]], parameters=480, activation=lines(), error=error(3e-3)),
        layer("right", "MaxPooling2D"),
        layer("join", "Concatenate"),
        layer("probs", "Dense", shapes=[[None, 10]], parameters=90, macs=80, activation=values(), error=error(1e-7)),
    ]
    edges = [
        ["image", "conv"],
        ["conv", "block/in"],
        ["block/in", "block/norm"],
        ["block/norm", "block/relu"],
        ["block/relu", "block/out"],
        ["block/out", "left"],
        ["block/out", "right"],
        ["left", "join"],
        ["right", "join"],
        ["join", "probs"],
    ]
    return report(layers, edges, groups=[group("block")])


def large(size: int = 500) -> dict[str, Any]:
    """A network as deep as they come: residual blocks, each with two branches."""
    layers, edges = [layer("input", "InputLayer")], []
    last = "input"
    while len(layers) < size:
        block = len(layers)
        names = [f"block{block}_{part}" for part in ("conv", "norm", "relu", "conv2", "shortcut", "add")]
        kinds = ("Conv2D", "BatchNormalization", "ReLU", "DepthwiseConv2D", "Conv2D", "Add")
        for place, (name, kind) in enumerate(zip(names, kinds, strict=True)):
            numbers = {"parameters": 1000 + block, "macs": 10_000 * block, "time": 1e-4 * (1 + place), "memory": 10_000}
            layers.append(
                layer(name, kind, error=error(1e-7 * (1 + block % 7)), weights=[weight("kernel", [3, 3])], **numbers)
            )
        conv, norm, relu, conv2, shortcut, add = names
        edges += [
            [last, conv],
            [conv, norm],
            [norm, relu],
            [relu, conv2],
            [conv2, add],
            [last, shortcut],
            [shortcut, add],
        ]
        last = add
    return report(layers, edges)
