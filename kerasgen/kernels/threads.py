"""What calls share: the memory that each thread keeps for its results, and threads that help with a layer's blocks."""

import collections
import math
import os
import queue
import threading

import numpy as np

from kerasgen.kernels.matmul import BLAS
from kerasgen.kernels.team import TEAM


def thread_count(text, cores):
    """How many threads KERASGEN_THREADS asks for: a number, or `auto` for one per core."""
    if text == "auto":
        return cores or 1
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"KERASGEN_THREADS is {text!r}, where a number of threads or auto is expected")
    return int(text)


THREADS = thread_count(os.environ.get("KERASGEN_THREADS") or "1", os.cpu_count())  # for a layer, beside the BLAS's own
PRODUCTS = os.environ.get("OPENBLAS_NUM_THREADS") == "1"  # whether products are theirs: the BLAS has no more threads
BLOCK = 1_048_576  # bytes of a block, which fits in one core's cache
COLUMNS = 16  # of a product that a process computes, at least, where processes share columns
PAYS = 4_000_000  # multiplications that make it worth waking them


class ThreadMemory(threading.local):
    """The buffers of one thread. A pickled copy has none: they belong to the threads of this process."""

    buffers = ()

    def __reduce__(self):
        """How to make a copy of it."""
        return ThreadMemory, ()


class ThreadPool:
    """The threads that help, and the queue of what they are called for. A pickled copy has none."""

    threads, calls = (), None

    def __reduce__(self):
        """How to make a copy of it."""
        return ThreadPool, ()


LOCAL = ThreadMemory()
POOL = ThreadPool()


def product(sizes):
    """The product of the sizes; np.prod would take longer than all else that a layer does."""
    total = 1
    for size in sizes:
        total *= size
    return total


class Buffer:
    """Memory for arrays that live one after the other; it grows to the largest of them."""

    def __init__(self):
        """Begin with no memory."""
        self.memory = np.empty(0, np.uint8)

    def empty(self, shape, dtype):
        """An uninitialised array in this memory."""
        size = product(shape) * dtype.itemsize
        if self.memory.size < size:
            self.memory = np.empty(size, np.uint8)
        return np.ndarray(shape, dtype, self.memory)


def buffers(count):
    """The buffers of this thread, the same ones at every call."""
    if len(LOCAL.buffers) < count:
        np.empty(8 * BLOCK, np.uint8)  # freed at once: it makes glibc keep what is freed later, for the next array
        LOCAL.buffers = [*LOCAL.buffers, *(Buffer() for _ in range(len(LOCAL.buffers), count))]
    return LOCAL.buffers[:count]


def block_rows(row, width=256):
    """How many rows a block has: `row` bytes belong to each; a product of few cells (256 for 1 MB) would be slow."""
    return max(1, BLOCK // max(row, 1), -(-BLOCK // 4096 // max(width, 1)))


def set_block(size):
    """Let blocks have this many bytes from now on: for measuring, as it changes what other threads do."""
    global BLOCK
    BLOCK = size


def over_blocks(work, images, rows, step, cost, columns=None, cells=math.inf):
    """Do the work for every block of about `step` rows of every image, which takes `cost` multiplications in all.

    In a team, each process does its share. Matrix products have `columns`, and `cells` in a row; they are left to this
    thread where the BLAS has threads of its own for them.
    """
    if TEAM.size > 1:
        over_team_blocks(work, images, rows, step, columns, cells)
        return
    step = max(1, -(-rows // max(1, round(rows / step))))  # no block of a few rows that are left
    if THREADS > 1 and cost > PAYS and (PRODUCTS or not BLAS or columns is None):
        step = min(step, -(-rows // THREADS))
        share(work, [(i, slice(j, min(j + step, rows))) for i in range(images) for j in range(0, rows, step)])
        return
    for image in range(images):
        for start in range(0, rows, step):
            work((image, slice(start, min(start + step, rows))))


def over_team_blocks(work, images, rows, step, columns, cells):
    """Do this process's share of the rows of all images, then wait for the others of its team.

    Where there are fewer cells than columns, the columns are shared instead, and `work` gets those to compute.
    """
    by_columns = columns is not None and columns > max(rows * cells, COLUMNS * TEAM.size)
    first, last = (0, images * rows) if by_columns else TEAM.share(images * rows)
    which = (slice(*TEAM.share(columns)),) if by_columns else ()
    for image in range(images):
        start, stop = max(first - image * rows, 0), min(last - image * rows, rows)
        even = max(1, -(-(stop - start) // max(1, round((stop - start) / step))))
        for at in range(start, stop, even):
            work((image, slice(at, min(at + even, stop))), *which)
    TEAM.barrier()


def share(work, tasks):
    """Do all the tasks, this thread and those of the pool.

    No thread works on them any more when this returns or raises, after Ctrl-C too: the arrays are the caller's again.
    """
    waiting, errors = collections.deque(tasks), []

    def do_tasks():
        while waiting:
            try:
                task = waiting.popleft()
            except IndexError:  # another thread was faster
                return
            work(task)

    def help_out(lock):
        if lock.acquire(False):  # else the call has ended
            try:
                do_tasks()
            except BaseException as error:
                waiting.clear()
                errors.append(error)
            finally:
                lock.release()

    calls, count = thread_pool()
    locks = [threading.RLock() for _ in range(count)]  # each held by a helper while it works, in the end by the caller
    try:
        for lock in locks:
            calls.put(lambda lock=lock: help_out(lock))
        do_tasks()
        acquire(locks)
    except BaseException:  # of a task, or Ctrl-C, which may come while this waits, too
        waiting.clear()
        acquire(locks)
        raise
    if errors:
        raise errors.pop()


def acquire(locks):
    """Wait for the threads that hold them; if Ctrl-C comes meanwhile, it is raised after that."""
    try:
        for lock in locks:
            lock.acquire()
    except BaseException:
        acquire(locks)
        raise


def thread_pool():
    """The queue of calls for the other threads of this process, which start when they are first needed; their number.

    Where no thread can start (Pyodide, WASI) the number is 0; where not all can, it is smaller than wanted.
    """
    if POOL.calls is None or not all(thread.is_alive() for thread in POOL.threads):  # in a fork none is
        calls, threads = queue.SimpleQueue(), []
        try:
            for _ in range(THREADS - 1):
                thread = threading.Thread(target=serve, args=(calls,), daemon=True)
                thread.start()
                threads.append(thread)
        except RuntimeError:  # threads cannot start here, or there are too many
            pass
        POOL.calls, POOL.threads = calls, threads  # if two threads race, the last pool wins
    return POOL.calls, len(POOL.threads)


def serve(calls):
    """Run calls from the queue, forever."""
    while True:
        calls.get()()
