"""A team of processes that run the same `predict` at once. Each computes its share of a layer's rows, then all meet.

What lies in shared memory is written in blocks, each by one process, between two barriers, and is read-only for the
rest of the program. All else, every process computes for itself, in memory of its own. So nothing can be written twice:
a kernel that overwrites a shared array without sharing the work raises ValueError.
"""

import os
import threading
import time

import numpy as np

CHUNK = 1 << 24  # bytes that are mapped at once, at least
LINE = 16  # int64 numbers; counters so far apart never lie on one cache line
SPIN = 1000  # looks at a counter before yielding the core: about 50 us
YIELD = 300  # times that the core is yielded before sleeping


class SharedMemory:
    """Memory that several processes map, in chunks. `key` is a file without a name, or, on Windows, a prefix of names.

    It vanishes with the last process that uses it, however that ends. Arrays are taken one after the other from the
    address `first` on, so that processes that take the same ones have them at the same places.
    """

    def __init__(self, key, first):
        """Nothing is mapped yet."""
        self.key, self.start, self.length, self.used, self.chunks = key, first, 0, 0, {}

    def take(self, size):
        """A place of so many bytes: where its chunk starts, how long that is, and which of its bytes is the first."""
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


class Team:
    """The place of this process in its team. A pickled copy is alone, as each process is until it joins."""

    rank, size = 0, 1

    def __reduce__(self):
        """How to make a copy of it."""
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

    def share(self, count):
        """The first and the last of `count` rows or columns that this process shall compute, before the next one's."""
        return tuple(count * rank // self.size for rank in (self.rank, self.rank + 1))

    def fence(self):
        """Let no load or store pass: the release of a lock, then an acquire, are a full fence on x86 and Armv8."""
        self.lock.release()
        self.lock.acquire()

    def barrier(self):
        """Wait for all processes. What each has written is then visible to the others."""
        if self.size == 1:
            return
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

    def place(self, size, out):
        """The place of an array in the buffer `out`, or of a new one."""
        self.results += out is None
        key = self.results if out is None else out
        if key not in self.places or self.places[key][0] < size:
            self.places[key] = size, self.memory.take(size)
        return self.places[key][1]

    def empty(self, shape, dtype, out):
        """An array for the rows of a layer, in the buffer `out` or new; it is shared by the team."""
        if self.size == 1:
            return np.empty(shape, dtype) if out is None else out.empty(shape, dtype)
        size = dtype.itemsize
        for count in shape:
            size *= count
        return self.memory.array(self.place(size, out), shape, dtype)

    def seal(self, y):
        """The array for the rest of the program, which must not write to what is shared."""
        if self.size > 1:
            y = y.view()
            y.flags.writeable = False
        return y


TEAM = Team()
