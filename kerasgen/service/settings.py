"""What `kerasgen serve` is started with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kerasgen.jobs import Limits

FORM_BYTES = 64 * 1024  # of an upload beside its files: boundaries, headers, options


@dataclass(frozen=True)
class Settings:
    """Sizes are in bytes, times in seconds.

    `jobs` are converted at once, `queue` more may wait. `keep` is how long results stay after a job has ended, `stall`
    how long a client may send or take nothing, `grace` how long running jobs may go on when the server is asked to
    stop. `token` is "" where everybody may use the service, `scheduler` the address of a Dask scheduler or "".
    """

    data: Path
    host: str = "127.0.0.1"
    port: int = 8000
    jobs: int = 2
    queue: int = 100
    max_upload: int = 500_000_000
    memory: int | None = 4_000_000_000
    timeout: float | None = 600.0
    keep: float = 86_400.0
    token: str = ""
    verify: bool = False
    scheduler: str = ""
    allowed_hosts: tuple[str, ...] = ()
    grace: float = 8.0
    stall: float = 30.0

    @property
    def limits(self) -> Limits:
        """Those of the process of one job."""
        return Limits(memory=self.memory, seconds=self.timeout, network=False)

    @property
    def max_body(self) -> int:
        """The longest request that can be an upload of the allowed size."""
        return self.max_upload + FORM_BYTES
