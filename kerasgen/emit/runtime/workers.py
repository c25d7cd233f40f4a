"""Runs `predict` in a team of processes: starts it, hands over the arrays, and ends it.

The team consists of fresh processes; this one only hands over the arrays and waits. Forked processes would compete with
the threads of this process's BLAS, and forking is unsafe beside other threads. Fresh processes have a BLAS of one
thread each, and neither Ctrl-C nor other work in this process disturbs them. They read the module's source up to its
weights; these lie in shared memory, once for all processes including this one. Between calls the processes wait for a
line on stdin, which closes when this process ends, however it ends.

Python without a global interpreter lock needs no processes: there the team consists of threads.
"""

import contextlib
import os
import queue
import sys
import threading
import weakref

import numpy as np

from kerasgen.emit.runtime.thread_team import ThreadTeam, threads_suffice
from kerasgen.kernels.team import TEAM, TEAMS, SharedMemory, new_memory
from kerasgen.kernels.threads import THREADS, own_threads

BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
PROGRAM = """
import signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
exec(sys.stdin.buffer.read(int(sys.argv[1])), {"__name__": "team"})
"""


def process_count(text, cores):
    """How many processes KERASGEN_PROCESSES asks for: a number, or `auto` for one per core."""
    if text == "auto":
        return cores or 1
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"KERASGEN_PROCESSES is {text!r}, where a number of processes or auto is expected")
    return int(text)


class Processes:
    """The number of processes for a call, and their team, if it has started. A pickled copy starts its own team."""

    def __init__(self):
        """Begin without a team: it starts when it is first needed."""
        self.count = process_count(os.environ.get("KERASGEN_PROCESSES") or "1", os.cpu_count())
        self.lock, self.workers, self.weights = threading.RLock(), None, None
        self.watches_forks = False

    def __reduce__(self):
        """Pickle it without its team."""
        return Processes, ()

    def end(self):
        """End the team."""
        with self.lock:
            workers, self.workers = self.workers, None
            if workers is not None:
                workers.end()

    def forget(self):
        """After a fork: leave the team to the process that started it."""
        workers, self.workers, self.lock = self.workers, None, threading.RLock()
        if workers is not None:
            workers.forget()


PROCESSES = Processes()


class Using:
    """`with` sets the number of processes."""

    def __init__(self, count):
        """Take the number to set."""
        self.count = self.other = count

    def __enter__(self) -> None:
        """Set the number."""
        self.swap()

    def __exit__(self, *error: "object") -> None:
        """Restore the old number."""
        self.swap()

    def swap(self):
        """Exchange the two numbers and end the team."""
        with PROCESSES.lock:
            PROCESSES.end()
            PROCESSES.count, self.other = self.other, PROCESSES.count


def processes(count: int) -> "Using":
    """For a `with` statement: inside it, `count` processes compute each call of `predict` together."""
    return Using(process_count(str(count), os.cpu_count()))


def start_team(predict):
    """Start the team: threads if Python runs them at the same time. Raises OSError or RuntimeError if none can."""
    if not PROCESSES.watches_forks and hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=PROCESSES.forget)
        PROCESSES.watches_forks = True
    team = ThreadTeam if threads_suffice() else Workers
    PROCESSES.workers = team(predict, PROCESSES.count)


def in_team(predict, *arrays):
    """What `predict` returns for these arrays, computed by several processes, or by this one with its own threads."""
    if PROCESSES.count > 1:
        return in_processes(predict, *arrays)
    with own_threads(THREADS):
        return predict(*arrays)


def in_processes(predict, *arrays):
    """What `predict` returns for these arrays, computed by the team, which starts if it has not yet.

    If no team can start, this process warns and computes from then on. Raises RuntimeError if a process has ended, and
    any error of `predict`.
    """
    with PROCESSES.lock:
        if PROCESSES.workers is None:
            try:
                start_team(predict)
            except (ImportError, OSError, RuntimeError) as error:
                import warnings

                PROCESSES.count = 1
                warnings.warn(f"predict runs in one process, as no others can start here: {error}", stacklevel=4)
                return predict(*arrays)
        try:
            return PROCESSES.workers.answer(arrays)
        except BaseException:  # Ctrl-C, too: nobody waits for their answer any more
            PROCESSES.end()
            raise


class Workers:
    """The processes of a team, as their caller sees them, and the memory for their inputs and outputs."""

    def __init__(self, predict, count):
        """Start them. Raises OSError or RuntimeError if that is impossible."""
        import subprocess

        if sys.platform in ("emscripten", "wasi"):
            raise OSError(f"{sys.platform} has no processes")
        if hasattr(sys, "frozen") or not os.path.basename(sys.executable or "").lower().startswith(("python", "pypy")):
            raise OSError("sys.executable is no Python")
        text, scope = source_text(predict.__globals__), predict.__globals__
        if PROCESSES.weights is None:
            PROCESSES.weights = share_weights(scope.get("W", {}))
        memory, table = PROCESSES.weights
        self.memory, self.inputs, self.processes = new_memory(), {}, []
        self.end = weakref.finalize(self, end_processes, self.processes)  # at exit, too
        keys = self.memory.key, memory.key
        text = f"import sys\nsys.path[:] = {sys.path!r}\n{text}\n"
        text = f"{text}{work_in_team.__name__}(int(sys.argv[2]), {count}, {keys}, {table}, globals())\n".encode()
        one = dict.fromkeys((*BLAS_THREADS, "KERASGEN_PROCESSES", "KERASGEN_THREADS"), "1")
        settings = {
            "env": {**os.environ, **one},
            "pass_fds": () if os.name == "nt" else keys,
            "creationflags": getattr(subprocess, "CREATE_NO_WINDOW", 0),
        }
        try:
            for rank in range(count):
                call = [sys.executable, "-c", PROGRAM, str(len(text)), str(rank)]
                process = subprocess.Popen(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **settings)
                self.processes.append(process)
                threading.Thread(target=watch_process, args=(process, self.processes), daemon=True).start()
            for process in self.processes:
                process.stdin.write(text)
                process.stdin.flush()
            if any(process.stdout.readline() != READY for process in self.processes):
                raise RuntimeError("they end at once")
        except BaseException:
            self.end()
            raise

    def answer(self, arrays):
        """What `predict` returns for these arrays."""
        line = to_line([self.hand_over(number, x) for number, x in enumerate(arrays)])
        try:
            for process in self.processes:
                process.stdin.write(line)
                process.stdin.flush()
            answer = self.processes[0].stdout.readline()
        except OSError:  # a broken pipe
            answer = b""
        if not answer.startswith(b"{"):
            raise self.fault(answer)
        facts = from_line(answer)
        results = [np.array(self.memory.array(*where)) for where in facts["results"]]
        if facts["names"] is not None:
            return dict(zip(facts["names"], results))
        return tuple(results) if facts["several"] else results[0]

    def hand_over(self, number, x):
        """Copy an input to the team's memory; returns its place, shape and dtype."""
        size, place = self.inputs.get(number, (-1, None))
        if size < x.nbytes:
            place = self.memory.take(x.nbytes)
            self.inputs[number] = x.nbytes, place
        where = place, x.shape, x.dtype.str
        self.memory.array(*where)[...] = x
        return where

    def fault(self, answer):
        """The error that a process reports in its last line; a RuntimeError if none does, because one was killed."""
        kinds = {kind.__name__: kind for kind in (ArithmeticError, IndexError, MemoryError, TypeError, ValueError)}
        for process in self.processes:
            process.kill()
        for error in (answer, *(process.stdout.readline() for process in self.processes)):
            if error.startswith(b"["):
                name, text = from_line(error)
                return kinds[name](text) if name in kinds else RuntimeError(f"{name}: {text}")
        return RuntimeError(
            "a process that predict runs in was killed, perhaps for lack of memory: the next call starts new ones; "
            "KERASGEN_PROCESSES=1 needs none"
        )

    def forget(self):
        """Close the pipes to a team that another process started."""
        self.end.detach()
        for process in self.processes:
            process.returncode = 0  # it is not a child of this process
            process.stdin.close()
            process.stdout.close()


READY = b"ready\n"


def watch_process(process, team):
    """Wait until a process ends, then kill the others, which would wait for it."""
    process.wait()
    for other in team:
        other.kill()


def end_processes(team):
    """Kill these processes and close their pipes."""
    for process in team:
        process.kill()
        process.wait()
        process.stdout.close()
        with contextlib.suppress(OSError):  # if it has not read everything
            process.stdin.close()


def source_text(scope):
    """The source of the module with these globals, up to its weights. Raises OSError if there is none."""
    try:
        with open(scope["__file__"], encoding="utf-8") as file:
            return before_weights(file)
    except (KeyError, OSError, UnicodeDecodeError):
        pass
    try:
        return before_weights(scope["__loader__"].get_source(scope["__name__"]).splitlines(True))
    except (AttributeError, ImportError, KeyError):
        raise OSError("the module has no source file") from None


def before_weights(lines):
    """The lines up to the weights, which may be long."""
    text = []
    for line in lines:
        if line.startswith(("NPZ = ", "W = ")):
            break
        text.append(line)
    return "".join(text)


def share_weights(weights):
    """Move the weights into shared memory; returns the memory and the table of the weights."""
    offsets, size = {}, 0
    for name, array in weights.items():
        offsets[name] = size
        size += -(-array.nbytes // 64) * 64
    memory = new_memory()
    start, length, _ = memory.take(size)
    table = {}
    for name, array in weights.items():
        table[name] = (start, length, offsets[name]), array.shape, array.dtype.str, np.empty_like(array).strides
        weights[name] = memory.array(*table[name])
        weights[name][...] = array
    return memory, table


def work_in_team(rank, size, keys, table, scope):
    """Run one process of a team: answer each line of stdin until it closes."""
    answers = os.fdopen(os.dup(1), "wb", 0)
    os.dup2(2, 1)  # printed text must not mix with answers
    lines = queue.SimpleQueue()
    threading.Thread(target=listen, args=(lines,), daemon=True).start()
    memory, weights = SharedMemory(keys[0], 0), SharedMemory(keys[1], 0)
    scope["W"] = {name: weights.array(*where) for name, where in table.items()}
    TEAM.join(rank, size, SharedMemory(keys[0], TEAMS))
    for array in scope["W"].values():
        array.flags.writeable = False
    np.seterr(all="ignore")  # otherwise each process would warn
    answers.write(READY)
    while True:
        line = lines.get()
        take_core(rank, size)
        arrays = [memory.array(*where) for where in from_line(line)]
        for array in arrays:
            array.flags.writeable = False
        try:
            facts = give_back(scope["predict"](*arrays))
            TEAM.barrier()
        except BaseException as error:
            answers.write(to_line([type(error).__name__, str(error)]))
            os._exit(1)
        if rank == 0:
            answers.write(to_line(facts))


def take_core(rank, size):
    """Move to a core of its own. Processes that are woken at the same time may find themselves on one core for a while.

    Afterwards the system may move the process again. The teams of different callers begin at different cores.
    """
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) >= size:
        with contextlib.suppress(OSError):  # a core that was switched off
            os.sched_setaffinity(0, [cores[(os.getppid() + rank) % len(cores)]])
            os.sched_setaffinity(0, cores)


def give_back(result):
    """Copy what `predict` returned to the team's memory; returns the places, and how the results were grouped."""
    names = list(result) if isinstance(result, dict) else None
    several = isinstance(result, tuple)
    results = []
    for y in map(np.asarray, result.values() if names else result if several else [result]):
        place = TEAM.place(y.nbytes, None)
        results.append((place, y.shape, y.dtype.str))
        if TEAM.rank == 0:
            TEAM.memory.array(*results[-1])[...] = y
    TEAM.results = 0
    return {"names": names, "several": several, "results": results}


def to_line(facts):
    """The facts as a line of JSON."""
    import json

    return json.dumps(facts).encode() + b"\n"


def from_line(line):
    """The facts in a line of JSON."""
    import json

    return json.loads(line)


def listen(lines):
    """Read lines from stdin. When it closes, the caller has ended, and this process exits at once."""
    for line in sys.stdin.buffer:
        lines.put(line)
    os._exit(0)
