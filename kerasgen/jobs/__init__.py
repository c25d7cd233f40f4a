"""Jobs: a model converted in a process of its own, which has limits and may crash without harm."""

from kerasgen.jobs.job import Event, Job, Limits, Listener, Outcome
from kerasgen.jobs.pools import LocalPool, Pool, pool_of
from kerasgen.jobs.process import run

__all__ = ["Event", "Job", "Limits", "Listener", "LocalPool", "Outcome", "Pool", "pool_of", "run"]
