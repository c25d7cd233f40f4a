"""What several tests need: models with random weights, files of them, and Keras's answers."""

from __future__ import annotations

import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kerasgen

ROOT = Path(__file__).parents[1]
SHARED_MODELS = ROOT.parent / "shared" / "models"


def randomize(model: Any, seed: int = 0) -> Any:
    """Give every weight a random value, batch statistics included; variances and scales stay away from zero.

    Kernels keep the sum of squares at one, so that a deep network neither fades nor explodes.
    """
    random = np.random.RandomState(seed)
    for variable in model.weights:
        name = getattr(variable, "path", variable.name).split(":")[0].split("/")[-1]
        shape = tuple(variable.shape)
        if "int" in str(variable.dtype):
            continue
        if "variance" in name or name in ("gamma", "scale"):
            value = random.uniform(0.5, 1.5, shape)
        elif name.endswith("kernel") and len(shape) > 1:
            fan_in = np.prod(shape[:-2]) if "depthwise" in getattr(variable, "path", name) else np.prod(shape[:-1])
            value = random.standard_normal(shape) / np.sqrt(fan_in)
        else:
            value = random.uniform(-0.5, 0.5, shape)
        variable.assign(value.astype("float32"))
    for layer in getattr(model, "_flatten_layers", list)():
        if hasattr(layer, "finalize_state"):  # Normalization computes with copies of its weights
            layer.finalize_state()
    return model


def save(model: Any, path: Path) -> Path:
    """Save a model to where it says, without Keras's remarks on old formats."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(path)
    return path


def export_with_answer(model: Any, x: np.ndarray, folder: Path) -> None:
    """Put net.keras, its module net.py, x.npy, and answer.npy, which Keras gave, into a folder."""
    save(model, folder / "net.keras")
    kerasgen.export(folder / "net.keras", folder / "net.py", verify=False)
    np.save(folder / "x.npy", x)
    np.save(folder / "answer.npy", model(x))


def relative_error(got: Any, expected: Any) -> float:
    """The largest difference, as a part of the largest expected number; infinite where the shapes differ."""
    got, expected = np.asarray(got), np.asarray(expected)
    if got.shape != expected.shape:
        return float("inf")
    if expected.dtype.kind in "biu":
        return float(np.any(got != expected))
    scale = np.abs(expected[np.isfinite(expected)]).max(initial=0.0) or 1.0
    with np.errstate(invalid="ignore"):
        equal = (got == expected) | (np.isnan(got) & np.isnan(expected))
        difference = np.where(equal, 0.0, np.abs(got.astype(np.result_type(got, "float64")) - expected))
    return float(np.nan_to_num(difference / scale, nan=np.inf).max(initial=0.0))


def copy_project(folder: Path, *more: str) -> Path:
    """A copy of what the wheel is made of, and of `more`, for a build to leave its traces in."""
    for name in ("kerasgen", "templates", "pyproject.toml", "README.md", "LICENSE", *more):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder / name)
    return folder


def run_python(
    *arguments: Any, cwd: Path | None = None, python: str = sys.executable, **settings: Any
) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments."""
    return subprocess.run(
        [python, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, check=False, timeout=600, **settings
    )


def pretend_blas(monkeypatch: pytest.MonkeyPatch, found: bool) -> None:
    """Let the kernels compute as with a BLAS, or as without one."""
    for name, module in list(sys.modules.items()):
        if name.startswith("kerasgen.kernels.") and hasattr(module, "BLAS"):
            monkeypatch.setattr(module, "BLAS", found)
