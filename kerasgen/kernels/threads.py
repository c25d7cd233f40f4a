"""What calls share: the buffers that each thread keeps for its results, and a pool of threads for a layer's blocks."""

import collections
import contextlib
import math
import os
import queue
import threading

import numpy as np

from kerasgen.kernels.matmul import BLAS
from kerasgen.kernels.team import TEAM, blas_threads, one_blas_thread

MOST = 8  # threads by default: more would only wait for each other, since one at a time holds the interpreter


def thread_count(text, cores):
    """How many threads KERASGEN_THREADS asks for: a number; `auto`, one per core; `blas`, as many as OpenBLAS has.

    But with `blas`, no more than MOST.
    """
    if text == "auto":
        return cores or 1
    if text == "blas":
        control = blas_threads()
        return min(control[0](), MOST) if control else 1
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"KERASGEN_THREADS is {text!r}, where a number of threads or auto is expected")
    return int(text)


THREADS = thread_count(os.environ.get("KERASGEN_THREADS") or "1", os.cpu_count())  # that share the blocks of a layer
BATCH_THREADS = thread_count(os.environ.get("KERASGEN_THREADS") or "blas", os.cpu_count())  # that share a batch
PRODUCTS = os.environ.get("OPENBLAS_NUM_THREADS") == "1"  # ours share its products, too: the BLAS has one thread
BLOCK = 1_048_576  # bytes of a block, which fits in one core's cache
COLUMNS = 16  # least number that a process computes of a product, if processes share columns
PAYS = 4_000_000  # multiplications from which on waking the threads pays


class ThreadMemory(threading.local):
    """The buffers of one thread. A pickled copy has none: they belong to the threads of this process."""

    buffers = ()

    def __reduce__(self):
        """Pickle it without its buffers."""
        return ThreadMemory, ()


class ThreadPool:
    """The threads that help, and the queue of their calls. A pickled copy has none."""

    threads, calls = (), None

    def __reduce__(self):
        """Pickle it without its threads."""
        return ThreadPool, ()


LOCAL = ThreadMemory()
POOL = ThreadPool()


def product(sizes):
    """The product of the sizes. np.prod would take longer than everything else around a small layer."""
    total = 1
    for size in sizes:
        total *= size
    return total


class Buffer:
    """Memory for one array at a time; it grows to the largest one."""

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
    """The buffers of this thread, the same ones in every call."""
    if len(LOCAL.buffers) < count:
        np.empty(8 * BLOCK, np.uint8)  # freed at once: then glibc keeps memory that is freed later, for the next array
        LOCAL.buffers = [*LOCAL.buffers, *(Buffer() for _ in range(len(LOCAL.buffers), count))]
    return LOCAL.buffers[:count]


def block_rows(row, width=256):
    """The number of rows of a block, for `row` bytes each. Products of few cells (under 256 for 1 MB) would be slow."""
    return max(1, BLOCK // max(row, 1), -(-BLOCK // 4096 // max(width, 1)))


def set_block(size):
    """Set the number of bytes of a block. Only for measuring: it affects all threads."""
    global BLOCK
    BLOCK = size


@contextlib.contextmanager
def own_threads(count):
    """For a `with` statement: inside it, `count` threads share the blocks of the layers that this thread computes.

    They share products as well if NumPy's BLAS is OpenBLAS, which has one thread meanwhile in the whole program.
    """
    if count == 1:
        yield
        return
    with one_blas_thread() as has_one:
        TEAM.threads, TEAM.products = count, has_one
        try:
            yield
        finally:
            TEAM.threads, TEAM.products = 1, False


def without_blas_threads():
    """Whether products take no threads of the BLAS, which would be in the way of the module's."""
    return TEAM.products or PRODUCTS or not BLAS


def over_blocks(work, images, rows, step, cost, columns=None, cells=math.inf):
    """Do the work for every block of about `step` rows of every image; in all it takes `cost` multiplications.

    The unit is a multiplication inside a matrix product; an operation outside of one takes as long as 8.
    In a team, each process does its share. A matrix product has `columns` columns, and `cells` cells in a row; it stays
    in this thread if the BLAS has its own threads for it.
    """
    if TEAM.shares(cost):
        over_team_blocks(work, images, rows, step, columns, cells)
        return
    step = max(1, -(-rows // max(1, round(rows / step))))  # even blocks: no small one is left at the end
    alone = without_blas_threads()
    count = max(THREADS, TEAM.threads) if alone else TEAM.threads
    if count > 1 and cost > PAYS and not TEAM.apart and (alone or columns is None):
        step = max(1, min(step, -(-rows // count)))
        share(work, [(i, slice(j, min(j + step, rows))) for i in range(images) for j in range(0, rows, step)])
        return
    for image in range(images):
        for start in range(0, rows, step):
            work((image, slice(start, min(start + step, rows))))


def over_team_blocks(work, images, rows, step, columns, cells):
    """Do this process's share of the rows of all images, then wait for the rest of its team.

    If there are fewer cells than columns, the columns are shared instead, and `work` gets those to compute.
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
    """Do all the tasks, in this thread and those of the pool.

    When this returns or raises, even after Ctrl-C, no thread works on them any more: the arrays are the caller's again.
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
        if lock.acquire(False):  # otherwise the call has ended
            try:
                do_tasks()
            except BaseException as error:
                waiting.clear()
                errors.append(error)
            finally:
                lock.release()

    calls, count = thread_pool()
    locks = [threading.RLock() for _ in range(count)]  # each held by a helper while it works, finally by the caller
    try:
        for lock in locks:
            calls.put(lambda lock=lock: help_out(lock))
        do_tasks()
        acquire(locks)
    except BaseException:  # of a task, or Ctrl-C, which may also come while this waits
        waiting.clear()
        acquire(locks)
        raise
    if errors:
        raise errors.pop()


def acquire(locks):
    """Acquire all locks, waiting for the threads that hold them. Ctrl-C meanwhile is raised afterwards."""
    try:
        for lock in locks:
            lock.acquire()
    except BaseException:
        acquire(locks)
        raise


def thread_pool():
    """The queue of calls for the pool, and the number of its threads, which start when they are first needed.

    The number is 0 if no thread can start (Pyodide, WASI), and smaller than wanted if not all of them can.
    """
    if POOL.calls is None or not all(thread.is_alive() for thread in POOL.threads):  # after a fork, none is alive
        calls, threads = queue.SimpleQueue(), []
        try:
            for _ in range(max(THREADS, TEAM.threads) - 1):
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
