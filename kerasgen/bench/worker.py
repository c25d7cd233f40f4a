"""One engine in a separate process: it loads a model, answers once, then times calls on request.

The job is a JSON object in the only argument; the inputs and the first answer are .npz files. The first line on stdout
has the seconds of that, the second tells that it is written. Each line on stdin is a number of calls; each further line
on stdout has their times. Only what the engine needs is imported, so that the time to the
first answer and the peak memory are the engine's.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Run = Callable[[], Any]
Job = Mapping[str, Any]
Arrays = Sequence[np.ndarray]


def module(job: Job, arrays: Arrays) -> Run:
    """A generated module, imported as users do."""
    import importlib

    path = Path(job["path"])
    sys.path.insert(0, str(path.parent))
    predict = importlib.import_module(path.stem).predict
    return lambda: predict(*arrays)


def predict(job: Job, arrays: Arrays) -> Run:
    """Keras's `predict`, the whole batch at once."""
    model, batch = _model(job, arrays)
    return lambda: model.predict(batch, len(arrays[0]), verbose=0)


def function(job: Job, arrays: Arrays) -> Run:
    """The model as one tf.function, from NumPy arrays to NumPy arrays."""
    model, batch = _model(job, arrays)
    import tensorflow as tf

    traced = tf.function(lambda inputs: model(inputs, training=False))

    def run() -> Any:
        return tf.nest.map_structure(lambda tensor: tensor.numpy(), traced(tf.nest.map_structure(tf.constant, batch)))

    return run


def _model(job: Job, arrays: Arrays) -> tuple[Any, Any]:
    """The model, loaded by Keras, and the arrays in the structure that it takes."""
    import tensorflow as tf

    from kerasgen.verification.oracle import oracle

    tf.config.threading.set_intra_op_parallelism_threads(job["threads"])
    tf.config.threading.set_inter_op_parallelism_threads(job["threads"])
    keras = oracle(job["path"], job["weights"], job["keras_version"])
    return keras.model, keras.arranged(arrays)


def onnx(job: Job, arrays: Arrays) -> Run:
    """ONNX Runtime on the CPU. Its threads spin while it runs, as by default, but not after."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = job["threads"]
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(job["path"], options, providers=["CPUExecutionProvider"])
    feeds = dict(zip(sorted(value.name for value in session.get_inputs()), arrays, strict=True))
    return lambda: session.run(None, feeds)


def reference(job: Job, arrays: Arrays) -> Run:
    """ONNX's reference implementation: NumPy, an operation at a time."""
    from onnx.reference import ReferenceEvaluator

    evaluator = ReferenceEvaluator(job["path"])
    feeds = dict(zip(sorted(evaluator.input_names), arrays, strict=True))
    return lambda: evaluator.run(None, feeds)


def litert(job: Job, arrays: Arrays) -> Run:
    """LiteRT with its XNNPACK kernels."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=job["path"], num_threads=job["threads"])
    interpreter.allocate_tensors()
    inputs = sorted(interpreter.get_input_details(), key=lambda detail: detail["name"])
    places = [detail["index"] for detail in inputs]
    outputs = [detail["index"] for detail in interpreter.get_output_details()]

    def run() -> list[Any]:
        for place, array in zip(places, arrays, strict=True):
            interpreter.set_tensor(place, array)
        interpreter.invoke()
        return [interpreter.get_tensor(index) for index in outputs]

    return run


RUNNERS = {runner.__name__: runner for runner in (module, predict, function, onnx, reference, litert)}


def peak_memory() -> int | None:
    """The peak resident size of this process in bytes; None if the system does not report it.

    `getrusage` would include the memory of the parent when it started this process.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)


def timed(run: Run, calls: int) -> list[float]:
    """The seconds of each call, after one that warms up the caches."""
    run()
    clock, times = time.perf_counter, []
    for _ in range(calls):
        start = clock()
        run()
        times.append(clock() - start)
    return times


def flat(result: Any) -> list[Any]:
    """The outputs of an engine, as a list."""
    if isinstance(result, Mapping):
        return list(result.values())
    return list(result) if isinstance(result, (list, tuple)) else [result]


def main() -> None:
    """Answer once, then serve rounds until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # output of libraries must not mix with answers
    job = json.loads(sys.argv[1])
    with np.load(job["inputs"], allow_pickle=False) as npz:
        arrays = [npz[name] for name in npz.files]
    run = RUNNERS[job["runner"]](job, arrays)
    start = time.perf_counter()
    first = flat(run())
    answers.write(f"{time.perf_counter() - start}\n")
    np.savez(job["outputs"], *first)
    del first
    answers.write("\n")
    for line in sys.stdin:
        answers.write(json.dumps({"times": timed(run, int(line)), "memory": peak_memory()}) + "\n")


if __name__ == "__main__":
    main()
