"""A team of processes that run the same `predict` at once. Each computes its share of a layer's rows, then all wait.

Shared memory is written in blocks, each by one process, between two barriers; for the rest of the program it is
read-only. Everything else, small layers included, is computed by every process for itself, in its own memory. So
nothing can be written twice: a kernel that overwrites a shared array without sharing the work raises ValueError.

In Python without a global interpreter lock, a team consists of threads of one process, which work in the same way.
"""

import contextlib
import os
import threading
import time
import weakref

import numpy as np

CHUNK = 1 << 24  # least number of bytes to map at once
LINE = 16  # int64 numbers; counters this far apart never share a cache line
WORTH = 2_000_000  # multiplications from which on sharing a layer pays: about 60 us in one process
SPIN = 1000  # reads of a counter before yielding the core: about 50 us
YIELD = 300  # yields before sleeping
TEAMS = 1 << 39  # the team allocates memory from this offset on, the caller before it
LEFT = 1 << 62  # more steps than anybody takes


class SharedMemory:
    """Memory that several processes map, in chunks. `key` is the descriptor of an unnamed file; on Windows, a prefix.

    It vanishes with the last process that uses it, however that process ends. Arrays are allocated one after the other
    from offset `first` on, so processes that allocate the same arrays find them at the same places.
    """

    def __init__(self, key, first):
        """Map nothing yet."""
        self.key, self.start, self.length, self.used, self.chunks = key, first, 0, 0, {}

    def take(self, size):
        """Allocate `size` bytes: the start and the length of their chunk, and the offset of the first byte in it."""
        if self.used + size > self.length:
            self.start += -(-self.length // CHUNK) * CHUNK
            self.length, self.used = max(size, CHUNK), 0
        place = self.start, self.length, self.used
        self.used += -(-size // 64) * 64
        return place

    def array(self, place, shape, dtype, strides=None):
        """The array at this place."""
        start, length, first = place
        if start not in self.chunks:
            import mmap

            if os.name == "nt":
                self.chunks[start] = mmap.mmap(-1, length, f"{self.key}-{start}")
            else:
                self.chunks[start] = mmap.mmap(self.key, length, offset=start)
        return np.ndarray(shape, dtype, self.chunks[start], first, strides)


def new_memory():
    """Memory that can be shared, in a file without a name, which takes no more space than is written to it."""
    if os.name == "nt":
        return SharedMemory(f"kerasgen-{os.urandom(16).hex()}", 0)
    create = getattr(os, "memfd_create", None)  # since Python 3.8
    if create is not None:
        key = create("kerasgen")
    else:
        import tempfile

        with tempfile.TemporaryFile() as file:
            key = os.dup(file.fileno())
    memory = SharedMemory(key, 0)
    weakref.finalize(memory, os.close, key)
    os.ftruncate(key, 2 * TEAMS)
    return memory


class Team(threading.local):
    """This thread's place in its team. A pickled copy is alone, as every thread is until it joins a team.

    `threads` is how many threads share the blocks of a layer in this call; while they also share its products, the BLAS
    has one thread, and `products` is true. If they share the samples of a batch instead, each computes up to
    `samples` at once, `apart` from the others.
    """

    rank, size, threads, products, samples, apart = 0, 1, 1, False, 1, False

    def __reduce__(self):
        """Pickle it without its team."""
        return Team, ()

    def join(self, rank, size, memory):
        """Become number `rank` of `size` processes with the same `memory`."""
        self.rank, self.size, self.memory = rank, size, memory
        self.counters = memoryview(memory.array(memory.take(8 * LINE * size), (LINE * size,), np.int64))
        self.steps, self.results, self.places = 0, 0, {}
        self.spin = SPIN if size <= (os.cpu_count() or 1) else 0
        self.yielded = getattr(os, "sched_yield", lambda: time.sleep(0))
        self.lock = threading.Lock()
        self.lock.acquire()

    @contextlib.contextmanager
    def on_samples(self, count, threads):
        """For a `with` statement: inside it, this thread, one of `threads`, computes up to `count` samples."""
        before = self.samples, self.threads, self.apart
        self.samples, self.threads, self.apart = count, max(self.threads, threads), threads > 1
        try:
            yield
        finally:
            self.samples, self.threads, self.apart = before

    def shares(self, cost):
        """Whether the team shares a layer that takes `cost` multiplications."""
        return self.size > 1 and cost > WORTH

    def share(self, count):
        """This process's share of `count` rows or columns: the first one, and the first one of the next process."""
        return tuple(count * rank // self.size for rank in (self.rank, self.rank + 1))

    def fence(self):
        """A full memory fence: releasing and acquiring a lock is one, on x86 and Armv8."""
        self.lock.release()
        self.lock.acquire()

    def barrier(self):
        """Wait for all processes. Afterwards, what each has written is visible to the others."""
        self.steps += 1
        self.fence()
        self.counters[LINE * self.rank] = self.steps
        for other in range(self.size):
            waited = -self.spin
            while self.counters[LINE * other] < self.steps:
                waited += 1
                if waited > YIELD:
                    time.sleep(5e-5)
                elif waited > 0:
                    self.yielded()
        self.fence()

    def leave(self):
        """Let the others pass all barriers: this one will not come to them any more."""
        self.counters[LINE * self.rank] = LEFT

    def place(self, size, out):
        """The place of an array in the buffer `out`, or of a new array."""
        self.results += out is None
        key = self.results if out is None else out
        if key not in self.places or self.places[key][0] < size:
            self.places[key] = size, self.memory.take(size)
        return self.places[key][1]

    def empty(self, shape, dtype, out):
        """An array for the rows of a layer, shared by the team: in the buffer `out`, or a new one."""
        size = dtype.itemsize
        for count in shape:
            size *= count
        return self.memory.array(self.place(size, out), shape, dtype)


TEAM = Team()
OPENBLAS = (  # how the builds of NumPy 2, of NumPy from 1.22 on, and all others name its functions
    "scipy_openblas_%s_num_threads64_",
    "scipy_openblas_%s_num_threads",
    "openblas_%s_num_threads64_",
    "openblas_%s_num_threads",
)


def blas_threads():
    """The functions of OpenBLAS that get and set its number of threads; None if NumPy has another BLAS."""
    try:
        import ctypes

        blas = ctypes.CDLL(np.linalg._umath_linalg.__file__)
    except (AttributeError, ImportError, OSError, TypeError):
        return None
    for name in OPENBLAS:
        if hasattr(blas, name % "set"):
            return blas[name % "get"], blas[name % "set"]
    return None


@contextlib.contextmanager
def one_blas_thread():
    """For a `with` statement: inside it, OpenBLAS has one thread. The value is false if NumPy has another BLAS.

    If it has only one already, because another call is inside or the program wants it so, that is not changed.
    """
    get_threads, set_threads = blas_threads() or (None, None)
    before = get_threads() if get_threads else 1
    if before > 1:
        set_threads(1)
    try:
        yield get_threads is not None
    finally:
        if before > 1:
            set_threads(before)
