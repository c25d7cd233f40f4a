"""Weights in fewer bytes: what is stored, what becomes of it in a module, what it costs."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from command import Run, altered
from pairs import Pair
from support import randomize

import kerasgen
from kerasgen.emit.load import load_module
from kerasgen.emit.quantize import compact, encode
from kerasgen.emit.runtime.dtypes import decode_weights
from kerasgen.emit.weights import split
from kerasgen.graph.plan import Plan

L = keras.layers
DTYPES = ("float16", "bfloat16", "int8")


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with a convolution, a depthwise and a transposed one, a recurrent layer and a dense one."""
    image = keras.Input((16, 16, 8), name="image")
    x = L.Conv2D(24, 3, padding="same", activation="relu", name="conv")(image)
    x = L.DepthwiseConv2D(3, depth_multiplier=6, name="depthwise")(x)
    x = L.Conv2DTranspose(12, 3, strides=2, name="transposed")(x)
    x = L.Reshape((29, 29 * 12), name="rows")(x)
    x = L.LSTM(16, name="lstm")(x)
    model = keras.Model(image, L.Dense(100, name="scores")(x))
    path = tmp_path_factory.mktemp("net") / "net.keras"
    randomize(model).save(path)
    return path


@pytest.fixture(scope="module")
def plain(net: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Its module with the model's own weights, which no pass has changed."""
    path = tmp_path_factory.mktemp("plain") / "plain.py"
    kerasgen.export(net, path, verify=False, optimize=0)
    return load_module(path)


def arrays(npz: bytes) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(npz)) as stored:
        return {name: stored[name] for name in stored.files}


def embedded(path: Path) -> dict[str, np.ndarray]:
    _, npz = split(path.read_bytes())
    assert npz
    return arrays(npz)


def nearest(w: np.ndarray, dtype: str, others: tuple[int, ...]) -> np.ndarray:
    """The formulas, in other words than the code has."""
    if dtype == "float16":
        return w.astype("float16").astype("float32")
    if dtype == "bfloat16":  # 8 bits of the fraction: np.round goes to even
        fraction, exponent = np.frexp(w.astype("float64"))
        return np.ldexp(np.round(fraction * 256) / 256, exponent).astype("float32")
    scale = np.abs(w).max(axis=others, keepdims=True) / np.float32(127)
    return np.round(w / scale).astype("int8") * scale


CHANNELS = {  # the axes that share a scale
    "conv/kernel": (0, 1, 2),
    "depthwise/kernel": (0, 1),
    "transposed/kernel": (0, 1, 3),
    "lstm/cell/kernel": (0,),
    "lstm/cell/recurrent_kernel": (0,),
    "scores/kernel": (0,),
}


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_a_module_has_is_the_formula(dtype: str, net: Path, plain: Any, tmp_path: Path) -> None:
    path = tmp_path / "small.py"
    result = kerasgen.export(net, path, weights_dtype=dtype, verify=False, optimize=0)
    module = load_module(path)
    for name, w in plain.W.items():
        wanted = nearest(w, dtype, CHANNELS[name]) if name in CHANNELS else w
        assert module.W[name].dtype == np.float32
        np.testing.assert_array_equal(module.W[name], wanted, err_msg=name)
    stored = embedded(path)
    assert {key.partition(".")[0] for key in stored if "." in key} == set(CHANNELS)
    assert result.loss is not None
    assert result.loss.error < {"float16": 5e-3, "bfloat16": 3e-2, "int8": 8e-2}[dtype]
    assert module.EXPORT["weights_dtype"] == dtype


@pytest.mark.parametrize("dtype", DTYPES)
def test_rounding(dtype: str) -> None:
    """Halves, zeros, and what no rounding can hold."""
    w = np.float32([1 + 2**-8, 1 + 3 * 2**-8, -1 - 2**-8, 0, 1e-30, 127, -254]).reshape(7, 1)
    got = decode_weights({f"w{ending}": part for ending, part in encode(w, dtype).items()})["w"]
    np.testing.assert_array_equal(got, nearest(w, dtype, (0,)))
    zeros = decode_weights({f"w{e}": part for e, part in encode(np.zeros((4, 4), "float32"), dtype).items()})["w"]
    assert not zeros.any()


@pytest.mark.parametrize("bad", [70_000.0, np.inf, np.nan, 3.4e38])
def test_what_would_not_be_finite_stays(bad: float) -> None:
    from kerasgen.graph.ir import Graph

    w = np.ones((50, 50), "float32")
    w[3, 3] = bad
    plan = Plan(Graph((), (), (), {"w": w}, ()))
    assert set(compact(plan, "float16")) == {"w"}
    assert set(compact(plan, "bfloat16")) == ({"w.bfloat16"} if bad == 70_000 else {"w"})
    assert set(compact(plan, "int8")) == ({"w"} if not np.isfinite(bad) else {"w.int8", "w.scale"})


def test_keep(run: Run, net: Path) -> None:
    run(
        "export",
        net,
        "-o",
        "a.py",
        "--no-verify",
        "--weights-dtype",
        "int8",
        "--keep",
        "con*",
        "--keep",
        "scores/kernel",
    )
    left = {key.partition(".")[0] for key in embedded(Path("a.py")) if "." in key}
    assert not any("conv" in name or "scores" in name for name in left)
    assert any("lstm" in name for name in left)
    for option in (["--keep", "con*"], []):
        code = 0 if option else 1
        run(
            "export",
            net,
            "-o",
            "a.py",
            "--check",
            "--weights-dtype",
            "int8",
            *option,
            *["--keep", "scores/kernel"],
            code=code,
        )
    message = run.fails(2, "export", net, "-o", "b.py", "--no-verify", "--weights-dtype", "int8", "--keep", "nothing")
    assert "'nothing' fits no layer" in message


def test_verified_by_keras(run: Run, net: Path) -> None:
    """The loss is told, recorded, and judged again by `verify`; the self-test is as tight as ever."""
    _, err = run("export", net, "-o", "a.py", "--weights-dtype", "int8", "--activations")
    assert "weights as int8: error 0.0" in err
    assert "compared with Keras" in err
    module = load_module(Path("a.py"))
    assert 0 < module.VERIFIED["loss"] < 0.1 == module.VERIFIED["tolerance"]
    assert module.VERIFIED["top_class"] > 0.5
    assert all(error < 1e-3 for _, error, _ in module.SELFTEST["calls"])
    out, _ = run("verify", net, "a.py", "--json")
    loss = json.loads(out)["loss"]
    assert loss["ok"]
    assert loss["reference"] == "Keras"
    run("export", net, "-o", "a.py", "--check", "--weights-dtype", "int8", "--activations")
    altered(Path("a.py"), lambda stored: stored["scores/bias"].__iadd__(1e-3))
    out, _ = run("verify", net, "a.py", code=1)  # within the loss, but no rounding
    assert "at fault: the weights in the module: scores/bias" in out


def test_too_much(run: Run, net: Path) -> None:
    options = ("export", net, "-o", "a.py", "--weights-dtype", "int8", "--max-loss", "0.0001")
    assert "(0.0001 allowed)" in run.fails(1, *options)
    message = run.fails(1, *options, "--no-verify")
    assert "float32 weights; allow more with --max-loss 0.1" in message
    run(*options, "--no-verify", "--keep-failed", code=1)
    assert Path("a.py").exists()
    assert load_module(Path("a.py")).EXPORT["max_loss"] == 0.0001


@pytest.mark.usefixtures("no_tensorflow")
def test_without_tensorflow(run: Run, net: Path) -> None:
    _, err = run("export", net, "-o", "a.py", "--weights-dtype", "float16", "--store", "sidecar")
    assert "compared with the same graph with float32 weights" in err
    assert load_module(Path("a.py")).VERIFIED is None
    run("export", net, "-o", "a.py", "--weights-dtype", "float16", "--store", "sidecar", "--check")
    _, err = run("export", net, "-o", "a.py", "--weights-dtype", "bfloat16", "--store", "sidecar", "--diff", code=1)
    assert "would change the code and the weights" in err


def test_what_does_not_go_together(net: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    wrong: list[dict[str, Any]] = [
        {"weights_dtype": "int4"},
        {"weights_dtype": "int8", "target": "pure"},
        {"weights_dtype": "int8", "gradients": kerasgen.GradientOptions()},
        {"weights_dtype": "int8", "max_loss": 0},
        {"keep": ["conv"]},
        {"max_loss": 0.5},
    ]
    for options in wrong:
        with pytest.raises(kerasgen.UsageError):
            kerasgen.export(net, path, verify=False, **options)
    assert not path.exists()


def test_sizes(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((300,)), L.Dense(2000), L.Dense(300)])
    source = tmp_path / "wide.keras"
    randomize(model).save(source)
    sizes = {}
    for dtype in ("float32", *DTYPES):
        result = kerasgen.export(source, tmp_path / f"{dtype}.py", weights_dtype=dtype, verify=False)
        sizes[dtype] = ((tmp_path / f"{dtype}.py").stat().st_size, result.weight_bytes)
    for share, dtype in ((0.52, "float16"), (0.52, "bfloat16"), (0.27, "int8")):
        assert all(a < share * b for a, b in zip(sizes[dtype], sizes["float32"], strict=True)), (dtype, sizes)


def test_old_numpy(pairs: list[Pair], net: Path, tmp_path: Path) -> None:
    """The oldest NumPy decodes the same numbers: the self-test sees them all."""
    for dtype in DTYPES:
        path = tmp_path / f"{dtype}.py"
        kerasgen.export(net, path, weights_dtype=dtype, verify=False)
        for pair in pairs:
            done = pair.run(path, "--selftest")
            assert done.returncode == 0, done.stdout
