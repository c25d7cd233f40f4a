"""Many models: each one a job, several jobs at once, and a journal so that no model is converted twice."""

from kerasgen.batches.result import BatchResult, Item
from kerasgen.batches.run import batch

__all__ = ["BatchResult", "Item", "batch"]
