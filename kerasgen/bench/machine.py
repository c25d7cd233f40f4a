"""What the numbers of a benchmark depend on: the machine, its BLAS and how fast that is, and the versions.

Run as a program, it measures the rate of a matrix product with the threads that its environment names.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
import time
from contextlib import suppress
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import kerasgen
from kerasgen.bench.engines import OWN
from kerasgen.bench.rounds import run

PACKAGES = ("numpy", "keras", "tensorflow", "onnxruntime", "ai-edge-litert")
BLAS_VARIABLES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")  # variables that change the speed of a BLAS
HARDWARE = ("cores", "caches", "blas", "products")  # the keys that are no version
CPU = Path("/sys/devices/system/cpu")
SIZE, SECONDS = 1024, 0.3  # of the matrices, and of the measurement


def machine() -> dict[str, str]:
    """Facts by name, as far as the system tells them; takes about a second, for the rate of products."""
    versions = {}
    for package in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    hardware = {"cores": str(cores()), "caches": caches(), "blas": blas(), "products": products()}
    return {
        "processor": processor(),
        "system": platform.platform(),
        **{name: fact for name, fact in hardware.items() if fact},
        "python": platform.python_version(),
        "kerasgen": kerasgen.__version__,
        **versions,
        **{name: os.environ[name] for name in BLAS_VARIABLES if name in os.environ},
    }


def processor() -> str:
    """The processor's name, as far as the system reports it."""
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model"))]
        if names:
            return names[0]
    return platform.processor() or platform.machine()


def cores() -> int:
    """The processors that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def caches(cpu: Path = CPU) -> str:
    """The caches that the first core sees, as `L1d 32K, L2 512K, L3 32768K`; "" if the system does not tell."""
    found = []
    for folder in sorted(cpu.glob("cpu0/cache/index*")):
        with suppress(OSError):
            level, kind, size = ((folder / name).read_text().strip() for name in ("level", "type", "size"))
            if kind != "Instruction":
                found.append(f"L{level}{'d' if kind == 'Data' else ''} {size}")
    return ", ".join(found)


def blas() -> str:
    """NumPy's BLAS and the processor whose kernels it has chosen, as `scipy-openblas 0.3.31, Haswell kernels`."""
    try:
        built = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
        name = " ".join(filter(None, (built.get("name"), built.get("version"))))
    except (TypeError, KeyError):  # before NumPy 1.25
        name = ""
    if find_spec("threadpoolctl"):
        loaded = import_module("threadpoolctl").threadpool_info()
        kernels = {str(pool.get("architecture")) for pool in loaded if pool.get("user_api") == "blas"} - {"None"}
        return ", ".join(filter(None, (name, *(f"{kernel} kernels" for kernel in sorted(kernels)))))
    return name


def products() -> str:
    """The rate of float32 matrix products in GF/s, measured with one thread and with one for each core."""
    rates = {}
    with tempfile.TemporaryDirectory(prefix="kerasgen-bench-") as folder:
        for threads in sorted({1, cores()}):
            target = Path(folder, "rate.json")
            run("kerasgen.bench.machine", {"target": str(target)}, OWN.threads(threads))
            rates[threads] = json.loads(target.read_text())
    return ", ".join(f"{rate:.3g} GF/s with {threads} thread{'s' * (threads > 1)}" for threads, rate in rates.items())


def rate() -> float:
    """Billions of additions and multiplications of floats in a second, in the fastest of some products."""
    a, b, y = (np.ones((SIZE, SIZE), np.float32) for _ in range(3))
    end, fastest = time.perf_counter() + SECONDS, float("inf")
    while time.perf_counter() < end:
        start = time.perf_counter()
        np.matmul(a, b, out=y)
        fastest = min(fastest, time.perf_counter() - start)
    return 2 * SIZE**3 / fastest / 1e9


if __name__ == "__main__":
    Path(json.loads(sys.argv[1])["target"]).write_text(json.dumps(rate()))
