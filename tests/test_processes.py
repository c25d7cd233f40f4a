"""A module whose `predict` runs in several processes: the same answers, and what may go wrong with the processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers as L
from pairs import find_python, from_index
from support import export_with_answer, randomize, relative_error, run_python, save
from teams import Team

import kerasgen
from kerasgen.emit.load import load_module
from kerasgen.emit.runtime import workers

X = np.random.RandomState(1).uniform(-1, 1, (3, 32, 32, 3)).astype("float32")


def network() -> keras.Model:
    """Winograd and blocked convolutions, a sum and a product in place, a concatenation, a wide layer of few rows."""
    image = keras.Input((32, 32, 3), name="image")
    x = first = L.Conv2D(32, 3, padding="same", activation="relu")(image)
    x = L.Conv2D(32, 3, padding="same")(x)
    gate = L.Dense(32, activation="sigmoid")(L.GlobalAveragePooling2D()(x))
    x = L.Multiply()([x, L.Reshape((1, 1, 32))(gate)])
    x = L.Add()([L.Activation("tanh")(x), L.Activation("sigmoid")(first)])
    x = L.Concatenate()([x, L.DepthwiseConv2D(3, padding="same")(x), first])
    x = L.Conv2D(64, 5, strides=4, padding="same", activation="relu")(x)
    x = L.Conv2D(1024, 3, strides=2, activation="relu")(x)
    return keras.Model(image, L.Dense(4, name="probs")(L.GlobalMaxPooling2D()(x)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with net.py, x.npy, and answer.npy, which Keras gave."""
    folder = tmp_path_factory.mktemp("processes")
    export_with_answer(randomize(network()), X, folder)
    return folder


@pytest.fixture
def module(folder: Path) -> Iterator[ModuleType]:
    module = load_module(folder / "net.py")
    yield module
    module.PROCESSES.end()


def right(folder: Path, y: np.ndarray) -> bool:
    return y.dtype == np.float32 and relative_error(y, np.load(folder / "answer.npy")[: len(y)]) < 1e-5


def children(module: ModuleType) -> list[subprocess.Popen[bytes]]:
    return list(module.PROCESSES.workers.processes)


def gone(pid: int) -> bool:
    """Whether a process ends within 20 seconds."""
    for _ in range(400):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_what_is_tested(folder: Path) -> None:
    text = (folder / "net.py").read_text(encoding="utf-8").partition("# Kernels")[0]
    for name in ("elementwise(", "join_rows(", "winograd_conv2d(", "blocked_conv(", "in_team("):
        assert name in text


# --- The answers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 4])
def test_processes(folder: Path, module: ModuleType, count: int) -> None:
    """Batches of several sizes, more processes than cores too; results are the caller's own."""
    alone = module.predict(X)
    with module.processes(count):
        answers = [module.predict(X[:size]) for size in (1, 3, 0, 2, 3)]
        assert len(children(module)) == count
        assert all(answer.flags.owndata and answer.flags.writeable for answer in answers)
    for answer in answers:
        assert answer.shape == (len(answer), 4)
        assert right(folder, answer)
        assert np.allclose(answer, alone[: len(answer)], rtol=1e-5, atol=1e-6)
    assert module.PROCESSES.workers is None
    assert right(folder, module.predict(X))


@pytest.mark.parametrize("worth", [0, 1e6, np.inf])
@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_each_process_has_the_answer(folder: Path, size: int, worth: float) -> None:
    """Whether all layers are shared, or the large ones, or none."""
    team = Team(folder / "net.py", size, worth)
    for batch in (X[:1], X, X[:2]):
        assert all(right(folder, y) for (y,) in team.predict([batch]))


def test_one_process_answers_bit_for_bit(folder: Path) -> None:
    """A team of one takes the same blocks."""
    assert (Team(folder / "net.py", 1).predict([X])[0][0] == load_module(folder / "net.py").predict(X)).all()


def test_what_is_shared_is_read_only(folder: Path) -> None:
    """So a kernel that overwrites it without sharing the work fails, instead of doing the work twice."""
    team = Team(folder / "net.py", 2)
    for module in team.modules:
        module.elementwise = lambda ufunc, *operands, out: ufunc(*operands, out=out)
    with pytest.raises(ValueError, match="read-only"):
        team.predict([X])


@pytest.mark.parametrize("locked", [True, False], ids=["processes", "threads"])
def test_inputs_and_results_of_every_kind(tmp_path: Path, locked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several, by name; one of another dtype."""
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: locked, raising=False)
    left, index = keras.Input((16, 16, 4), name="left"), keras.Input((2,), dtype="int32", name="index")
    x = L.Conv2D(64, 3, padding="same")(L.Conv2D(64, 3, padding="same", activation="relu")(left))
    y = L.Flatten()(L.Embedding(5, 3)(index))
    model = randomize(keras.Model({"left": left, "index": index}, {"map": x, "flat": y}))
    save(model, tmp_path / "net.keras")
    kerasgen.export(tmp_path / "net.keras", tmp_path / "net.py", verify=False)
    module = load_module(tmp_path / "net.py")
    arrays = {"left": X[:, :16, :16, [0, 1, 2, 0]], "index": np.array([[0, 1], [4, 2], [3, 3]], "int32")}
    expected = model(arrays)
    with module.processes(2):
        answer = module.predict(**arrays)
        with pytest.raises(ValueError, match="input 'left' takes the shape"):
            module.predict(arrays["left"][:, :3], arrays["index"])
        with pytest.raises(IndexError, match="out of bounds"):
            module.predict(arrays["left"], arrays["index"] + 9)
        again = module.predict(**arrays)
    for name, wanted in expected.items():
        assert relative_error(answer[name], np.asarray(wanted)) < 1e-5
        assert (again[name] == answer[name]).all()


# --- How they are asked for ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["0", "many", "-1", "1.5"])
def test_a_number_that_is_none(text: str) -> None:
    expected = f"^KERASGEN_PROCESSES is {text!r}, where a number of processes or auto is expected$"
    with pytest.raises(ValueError, match=expected):
        workers.process_count(text, 2)


def test_auto() -> None:
    assert [workers.process_count("auto", cores) for cores in (None, 1, 3)] == [1, 1, 3]
    assert workers.process_count("5", 2) == 5


PROGRAM = "import numpy, net; y = net.predict(numpy.load('x.npy')); numpy.save('y.npy', y); "
RUNNING = "assert len(net.PROCESSES.workers.processes) == 2; "


def test_environment(folder: Path) -> None:
    """Nothing is written to stderr, not even at exit."""
    done = run_python("-c", PROGRAM + RUNNING, cwd=folder, env={**os.environ, "KERASGEN_PROCESSES": "2"})
    assert (done.returncode, done.stderr) == (0, "")
    assert right(folder, np.load(folder / "y.npy"))


def test_program(folder: Path) -> None:
    settings = {**os.environ, "KERASGEN_PROCESSES": "2"}
    done = run_python("net.py", "x.npy", "-o", "program.npy", cwd=folder, env=settings)
    assert (done.returncode, done.stderr) == (0, "")
    assert right(folder, np.load(folder / "program.npy"))


def test_module_in_a_zip(folder: Path, tmp_path: Path) -> None:
    """They get its source from where it is."""
    with zipfile.ZipFile(tmp_path / "net.zip", "w") as archive:
        archive.write(folder / "net.py", "net.py")
    settings = {**os.environ, "KERASGEN_PROCESSES": "2", "PYTHONPATH": str(tmp_path / "net.zip")}
    code = PROGRAM.replace("x.npy", str(folder / "x.npy")) + RUNNING
    done = run_python("-c", code, cwd=tmp_path, env=settings)
    assert (done.returncode, done.stderr) == (0, "")
    assert right(folder, np.load(tmp_path / "y.npy"))


def test_in_a_file_without_a_name(folder: Path) -> None:
    """Where the system has no memory files."""
    done = run_python(
        "-c",
        f"import os; del os.memfd_create; {PROGRAM}{RUNNING}",
        cwd=folder,
        env={**os.environ, "KERASGEN_PROCESSES": "2"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert right(folder, np.load(folder / "y.npy"))


@pytest.mark.parametrize(
    "code",
    [
        "exec(open('net.py').read(), globals()); import sys; net = sys.modules['__main__']; y = predict(x)",
        "import sys; sys.executable = ''; import net; y = net.predict(x)",
        "import sys; sys.frozen = True; import net; y = net.predict(x)",
        "import sys; sys.executable = 'false-python'; import net; y = net.predict(x)",
        "import sys; sys.platform = 'emscripten'; import net; y = net.predict(x)",
        "import os; os.ftruncate = lambda file, size: os.close(-1); import net; y = net.predict(x)",
    ],
)
def test_where_none_can_start(folder: Path, code: str) -> None:
    """One process computes, after one warning."""
    lines = f"import numpy; x = numpy.load('x.npy'); {code}; numpy.save('y.npy', y); y = net.predict(x)"
    done = run_python("-c", lines, cwd=folder, env={**os.environ, "KERASGEN_PROCESSES": "2"})
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("predict runs in one process, as no others can start here: ") == 1
    assert right(folder, np.load(folder / "y.npy"))


def test_modules_that_share_nothing_are_without(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((4,)), L.Dense(2)])
    save(model, tmp_path / "net.keras")
    kerasgen.export(tmp_path / "net.keras", tmp_path / "net.py", verify=False)
    text = (tmp_path / "net.py").read_text(encoding="utf-8")
    assert "PROCESSES" not in text
    assert "TEAM" not in text


def test_states_stay_in_one_process(tmp_path: Path) -> None:
    image = keras.Input(batch_shape=(1, 8, 16, 16, 4))
    x = L.ConvLSTM2D(4, 3, stateful=True, padding="same")(image)
    model = keras.Model(image, L.Conv2D(64, 3, padding="same")(L.Conv2D(64, 3, padding="same")(x)))
    save(model, tmp_path / "net.keras")
    kerasgen.export(tmp_path / "net.keras", tmp_path / "net.py", verify=False)
    assert "PROCESSES" not in (tmp_path / "net.py").read_text(encoding="utf-8")


# --- What may happen to them -----------------------------------------------------------------------------------------


def test_many_threads_call(folder: Path, module: ModuleType) -> None:
    with module.processes(2), ThreadPoolExecutor(8) as pool:
        assert all(right(folder, y) for y in pool.map(module.predict, [X[: 1 + i % 3] for i in range(24)]))


@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_is_killed_between_calls(folder: Path, module: ModuleType, rank: int) -> None:
    """The next call says so, and the one after it is answered by new ones."""
    with module.processes(2):
        module.predict(X)
        before = children(module)
        os.kill(before[rank].pid, signal.SIGKILL)
        assert all(gone(process.pid) for process in before)
        with pytest.raises(RuntimeError, match="was killed, perhaps for lack of memory: the next call starts new ones"):
            module.predict(X)
        assert right(folder, module.predict(X))
        assert {process.pid for process in before}.isdisjoint(process.pid for process in children(module))


def busy(module: ModuleType, meanwhile: Callable[[], object]) -> BaseException | None:
    """What a call raises while this happens: all other processes wait at a barrier for one that was stopped."""
    module.predict(X)
    os.kill(children(module)[1].pid, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(module.predict, X)
        time.sleep(0.2)
        meanwhile()
        return call.exception(60)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_is_killed_during_a_call(folder: Path, module: ModuleType, rank: int) -> None:
    with module.processes(2):
        error = busy(module, lambda: os.kill(children(module)[rank].pid, signal.SIGKILL))
        assert isinstance(error, RuntimeError)
        assert right(folder, module.predict(X))


STOPPED = """
import net, numpy, os, signal, sys, threading
x = numpy.load("x.npy")
net.predict(x)
pids = [process.pid for process in net.PROCESSES.workers.processes]
files = os.readlink(f"/proc/self/fd/{net.PROCESSES.workers.memory.key}")
print(*pids, flush=True)
os.kill(pids[1], signal.SIGSTOP)
try:
    net.predict(x)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    y = net.predict(x)
    numpy.save("after.npy", y)
    print(*[process.pid for process in net.PROCESSES.workers.processes], flush=True)
"""


@pytest.fixture
def stopped(folder: Path) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A program in a call of `predict` that never ends, as one of its processes is stopped; and their ids."""
    settings = {**os.environ, "KERASGEN_PROCESSES": "2"}
    with subprocess.Popen(
        [sys.executable, "-c", STOPPED], cwd=folder, env=settings, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        yield program, list(map(int, program.stdout.readline().split()))
        program.kill()


def test_the_program_is_killed(stopped: tuple[subprocess.Popen[str], list[int]]) -> None:
    """They end with it, even in the middle of a call; the shared memory has no name that could stay behind."""
    program, pids = stopped
    time.sleep(0.2)
    program.kill()
    os.kill(pids[1], signal.SIGCONT)
    assert all(gone(pid) for pid in pids)
    assert not list(Path("/dev/shm").glob("*kerasgen*"))


def test_ctrl_c(folder: Path, stopped: tuple[subprocess.Popen[str], list[int]]) -> None:
    """It reaches the caller at once, and the next call is answered."""
    program, pids = stopped
    time.sleep(0.2)
    program.send_signal(signal.SIGINT)
    assert program.stdout is not None
    assert program.stdout.readline() == "interrupted\n"
    new = list(map(int, program.stdout.readline().split()))
    assert program.wait(60) == 0
    assert set(new).isdisjoint(pids)
    assert all(gone(pid) for pid in (*pids, *new))
    assert right(folder, np.load(folder / "after.npy"))


def test_ctrl_c_is_not_theirs(folder: Path, module: ModuleType) -> None:
    """A terminal sends it to all processes."""
    with module.processes(2):
        module.predict(X)
        before = children(module)
        for process in before:
            process.send_signal(signal.SIGINT)
        assert right(folder, module.predict(X))
        assert children(module) == before


def forked(check: Callable[[], None]) -> int:
    """The exit code of a fork that makes this check."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            check()
            code = 0
        finally:
            os._exit(code)
    return os.waitpid(pid, 0)[1]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_fork(folder: Path, module: ModuleType) -> None:
    """A fork starts its own processes, and leaves its parent's alone, even when it ends."""
    with module.processes(2):
        module.predict(X)
        before = children(module)

        def check() -> None:
            assert module.PROCESSES.workers is None
            assert right(folder, module.predict(X))
            assert {p.pid for p in before}.isdisjoint(p.pid for p in children(module))
            module.PROCESSES.end()

        assert forked(check) == 0
        assert right(folder, module.predict(X))
        assert children(module) == before


def test_weights_are_in_memory_once(folder: Path, module: ModuleType) -> None:
    """Those that were derived when the module was loaded, too; a change in place reaches all."""
    before = {name: array.copy() for name, array in module.W.items()}
    with module.processes(2):
        answer = module.predict(X)
        assert all((array == before[name]).all() for name, array in module.W.items())
        assert not any(array.flags.owndata for array in module.W.values())
        smaps = [Path(f"/proc/{process.pid}/smaps").read_text() for process in children(module)]
        module.W["probs/bias"] += 1
        assert np.allclose(module.predict(X), answer + 1, atol=1e-4)
    assert all(text.count("memfd:kerasgen") >= 2 for text in smaps)


def test_they_sleep_between_calls(module: ModuleType) -> None:
    with module.processes(2):
        module.predict(X)
        time.sleep(0.2)
        states = [Path(f"/proc/{p.pid}/stat").read_text().rpartition(")")[2].split()[0] for p in children(module)]
        used = [sum(map(int, Path(f"/proc/{p.pid}/stat").read_text().split()[13:15])) for p in children(module)]
        time.sleep(0.5)
        assert states == ["S", "S"]
        assert used == [sum(map(int, Path(f"/proc/{p.pid}/stat").read_text().split()[13:15])) for p in children(module)]


def test_each_process_begins_on_a_core_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    moves: dict[int, list[list[int]]] = {0: [], 1: [], 2: []}
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5, 8}, raising=False)
    for rank, made in moves.items():
        move = partial(lambda made, _, cores: made.append(list(cores)), made)
        monkeypatch.setattr(os, "sched_setaffinity", move, raising=False)
        workers.take_core(rank, 3)
    assert sorted(first for (first,), _ in moves.values()) == [3, 5, 8]
    assert all(free == [3, 5, 8] for _, free in moves.values())  # the system may move it again
    workers.take_core(0, 4)  # more processes than cores
    assert len(moves[2]) == 2


def test_no_warning_of_resources(folder: Path) -> None:
    """Neither when the processes are ended nor when the module is let go."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        module = load_module(folder / "net.py")
        with module.processes(2):
            module.predict(X)
            pids = [process.pid for process in children(module)]
        assert all(map(gone, pids))


# --- Threads, in Python without a global interpreter lock -------------------------------------------------------------


@pytest.fixture
def unlocked(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if Python had no lock: threads take turns then, and the answers are the same."""
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)


def team_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if "work_in_thread" in thread.name]


@pytest.mark.usefixtures("unlocked")
@pytest.mark.parametrize("count", [2, 4])
def test_threads(folder: Path, module: ModuleType, count: int) -> None:
    """They end with the statement, and OpenBLAS has its threads back."""
    get_threads, set_threads = module.blas_threads()
    before, threads = team_threads(), get_threads()
    set_threads(3)
    try:
        with module.processes(count):
            answers = [module.predict(X[:size]) for size in (1, 3, 0, 2, 3)]
            mine = [thread for thread in team_threads() if thread not in before]
            assert len(mine) == count
            assert get_threads() == 3
    finally:
        set_threads(threads)
    for answer in answers:
        assert answer.flags.owndata
        assert answer.flags.writeable
        assert right(folder, answer)
    for thread in mine:
        thread.join(20)
        assert not thread.is_alive()
    assert right(folder, module.predict(X))


@pytest.mark.usefixtures("unlocked")
def test_with_another_blas_there_are_processes(
    folder: Path, module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OPENBLAS", ("other_%s",))
    with module.processes(2):
        assert right(folder, module.predict(X))
        assert len(children(module)) == 2


@pytest.mark.usefixtures("unlocked")
def test_many_threads_call_a_team_of_threads(folder: Path, module: ModuleType) -> None:
    with module.processes(2), ThreadPoolExecutor(8) as pool:
        assert all(right(folder, y) for y in pool.map(module.predict, [X[: 1 + i % 3] for i in range(24)]))


@pytest.mark.usefixtures("unlocked")
@pytest.mark.parametrize("failing", [0, 1])
def test_a_thread_fails(folder: Path, module: ModuleType, failing: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The call raises its error, the others do not wait for it, and the next call has new threads."""
    convolve = module.winograd_conv2d

    def fail(*arguments: Any, **settings: Any) -> Any:
        if module.TEAM.rank == failing:
            raise MemoryError("of one thread")
        return convolve(*arguments, **settings)

    with module.processes(2):
        module.predict(X)
        before = team_threads()
        with monkeypatch.context() as patch:
            patch.setattr(module, "winograd_conv2d", fail)
            with pytest.raises(MemoryError, match="of one thread"):
                module.predict(X)
        assert right(folder, module.predict(X))
        assert not {*before} & {*team_threads()}


INTERRUPTED = """
import net, numpy, signal, sys, time
sys._is_gil_enabled = lambda: False
x = numpy.load("x.npy")
net.predict(x)
pool = net.global_max_pool
net.global_max_pool = lambda *arguments, **settings: time.sleep(1) or pool(*arguments, **settings)
signal.setitimer(signal.ITIMER_REAL, 0.3)
signal.signal(signal.SIGALRM, signal.default_int_handler)
begun = time.monotonic()
try:
    net.predict(x)
except KeyboardInterrupt:
    assert time.monotonic() - begun < 0.9, "it waits for the threads"
    numpy.save("after.npy", net.predict(x))
"""


def test_ctrl_c_while_threads_compute(folder: Path) -> None:
    (folder / "after.npy").unlink(missing_ok=True)
    done = run_python("-c", INTERRUPTED, cwd=folder, env={**os.environ, "KERASGEN_PROCESSES": "2"})
    assert (done.returncode, done.stderr) == (0, "")
    assert right(folder, np.load(folder / "after.npy"))


@pytest.mark.usefixtures("unlocked")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_fork_beside_a_team_of_threads(folder: Path, module: ModuleType) -> None:
    with module.processes(2):
        module.predict(X)

        def check() -> None:
            assert module.PROCESSES.workers is None
            assert right(folder, module.predict(X))

        assert forked(check) == 0
        assert right(folder, module.predict(X))


def test_python_without_a_lock(folder: Path, tmp_path: Path) -> None:
    """The real one, where the machine has it."""
    python = find_python("3.13t") or find_python("3.14t")
    if python is None:
        pytest.skip("the machine has no Python without a global interpreter lock")
    settings = {**os.environ, "KERASGEN_PROCESSES": "2", **from_index(python, "2.4.*", tmp_path)}
    code = f"{PROGRAM} import sys; assert not sys._is_gil_enabled(); print(type(net.PROCESSES.workers).__name__)"
    done = subprocess.run(
        [python, "-W", "error", "-c", code], cwd=folder, env=settings, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("ThreadTeam\n", "")
    assert right(folder, np.load(folder / "y.npy"))
