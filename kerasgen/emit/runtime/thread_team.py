"""Runs `predict` in a team of threads, where Python runs them at the same time: it has no global interpreter lock.

Nothing is handed over or loaded twice, as it would be for processes. Each thread multiplies by itself, so NumPy's BLAS
must have one thread for as long as a call takes, which OpenBLAS can be told.
"""

import queue
import sys
import threading
import weakref

import numpy as np

from kerasgen.kernels.team import TEAM, TEAMS, SharedMemory, blas_threads, new_memory, one_blas_thread
from kerasgen.kernels.threads import THREADS


def threads_suffice():
    """Whether Python runs threads at the same time, with a BLAS that can be told to use no others."""
    takes_turns = getattr(sys, "_is_gil_enabled", lambda: True)  # since Python 3.13
    return not takes_turns() and blas_threads() is not None


class ThreadTeam:
    """The threads of a team, as their caller sees them."""

    def __init__(self, predict, count):
        """Start them. Raises OSError or RuntimeError if that is impossible."""
        self.calls, self.answers = [queue.SimpleQueue() for _ in range(count)], queue.SimpleQueue()
        self.end = weakref.finalize(self, end_threads, self.calls)  # at exit, too
        memory = new_memory()
        for rank, calls in enumerate(self.calls):
            args = rank, count, memory, predict, calls, self.answers
            threading.Thread(target=work_in_thread, args=args, daemon=True).start()

    def answer(self, arrays):
        """What `predict` returns for these arrays."""
        arrays = [x.view() for x in arrays]
        for x in arrays:
            x.flags.writeable = False
        with one_blas_thread():
            for calls in self.calls:
                calls.put(arrays)
            answer = self.answers.get()
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def forget(self):
        """After a fork: the threads are in the other process."""
        self.end.detach()


def end_threads(calls):
    """Let the threads with these queues end, after what they are doing."""
    for each in calls:
        each.put(None)


def work_in_thread(rank, size, memory, predict, calls, answers):
    """Run one thread of a team: answer each call in the queue until it holds None."""
    TEAM.join(rank, size, SharedMemory(memory.key, TEAMS))
    TEAM.threads = THREADS  # no others help
    np.seterr(all="ignore")  # otherwise each thread would warn
    for arrays in iter(calls.get, None):
        try:
            result = predict(*arrays)
            TEAM.results = 0
            TEAM.barrier()
            if rank == 0:
                answers.put(copied(result))
        except BaseException as error:
            answers.put(error)
            TEAM.leave()
            return


def copied(result):
    """A copy of what `predict` returned, which may lie in the team's memory."""
    if isinstance(result, dict):
        return {name: np.array(y) for name, y in result.items()}
    return tuple(map(np.array, result)) if isinstance(result, tuple) else np.array(result)
