"""Jobs in SQLite: what a restart must not lose.

A job is what a client has submitted; a conversion is the work. Jobs with the same model and the same options share one
conversion, but not their names. A conversion lives as long as a job refers to it, and a folder of files with it.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kerasgen.jobs import Outcome

VERSION = 1  # of the tables below
State = Literal["queued", "running", "done", "failed"]
ENDED = ("done", "failed")
_TABLES = """
CREATE TABLE conversions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT UNIQUE,                -- hash of model, weights, options and version; NULL: not to be shared
    folder TEXT NOT NULL UNIQUE,
    request TEXT NOT NULL,          -- JSON
    state TEXT NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'done', 'failed')),
    attempts INTEGER NOT NULL DEFAULT 0,
    outcome TEXT                    -- JSON
);
CREATE INDEX conversions_by_state ON conversions (state, id);
CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    conversion INTEGER NOT NULL REFERENCES conversions (id),
    name TEXT NOT NULL,
    cached INTEGER NOT NULL,
    created REAL NOT NULL,
    ended REAL,
    expires REAL
);
CREATE INDEX jobs_by_conversion ON jobs (conversion);
CREATE INDEX jobs_by_creation ON jobs (created);
CREATE INDEX jobs_by_expiry ON jobs (expires);
"""
_JOBS = """
SELECT jobs.id, jobs.name, jobs.cached, jobs.created, jobs.ended, jobs.expires,
       conversions.id AS conversion, conversions.state, conversions.folder, conversions.request, conversions.outcome
FROM jobs JOIN conversions ON conversions.id = jobs.conversion
"""


@dataclass(frozen=True)
class Conversion:
    """The work of one or more jobs. `request` is plain data; `attempts` counts the runs, this one included."""

    id: int
    folder: str
    request: Mapping[str, Any]
    attempts: int


@dataclass(frozen=True)
class JobRow:
    """A job with the state of its conversion. Times are seconds since 1970, None for what is still to come."""

    id: str
    name: str
    cached: bool
    created: float
    ended: float | None
    expires: float | None
    conversion: int
    state: State
    folder: str
    request: Mapping[str, Any]
    outcome: Outcome | None


class QueueFull(Exception):
    """As many conversions wait as may."""


class Store:
    """The database. Every method is one transaction and may be called from any thread."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")  # an accepted job survives a power failure
        self._connection.execute("PRAGMA foreign_keys = ON")
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            self._connection.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {VERSION}; COMMIT;")
        elif version != VERSION:
            self._connection.close()
            raise sqlite3.DatabaseError(f"has tables of version {version}, not {VERSION}")

    def close(self) -> None:
        """Close the database; no method may be called afterwards."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def add(
        self, id: str, name: str, *, key: str, folder: str, request: Mapping[str, Any], queue: int, keep: float
    ) -> JobRow:
        """Enter a job; it shares the conversion of this key if there is one, and `folder` is then not used.

        Raises QueueFull where it needs a conversion of its own and `queue` of them wait.
        """
        now = time.time()
        with self._transaction() as db:
            found = db.execute("SELECT id, state FROM conversions WHERE key = ?", (key,)).fetchone()
            if found is None:
                if self._waiting(db) >= queue:
                    raise QueueFull
                conversion = db.execute(
                    "INSERT INTO conversions (key, folder, request) VALUES (?, ?, ?)",
                    (key, folder, json.dumps(request)),
                ).lastrowid
            else:
                conversion = found["id"]
            ended = now if found and found["state"] in ENDED else None
            db.execute(
                "INSERT INTO jobs (id, conversion, name, cached, created, ended, expires) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (id, conversion, name, found is not None, now, ended, ended and ended + keep),
            )
            return _job(db.execute(f"{_JOBS} WHERE jobs.id = ?", (id,)).fetchone())

    def waiting(self) -> int:
        """How many conversions are queued."""
        with self._transaction() as db:
            return self._waiting(db)

    @staticmethod
    def _waiting(db: sqlite3.Connection) -> int:
        (count,) = db.execute("SELECT count(*) FROM conversions WHERE state = 'queued'").fetchone()
        return int(count)

    def job(self, id: str) -> JobRow | None:
        """The job with this id, if there is one."""
        with self._transaction() as db:
            row = db.execute(f"{_JOBS} WHERE jobs.id = ?", (id,)).fetchone()
        return row and _job(row)

    def newest(self, count: int) -> list[JobRow]:
        """The jobs that were submitted last, newest first."""
        with self._transaction() as db:
            rows = db.execute(f"{_JOBS} ORDER BY jobs.created DESC, jobs.rowid DESC LIMIT ?", (count,)).fetchall()
        return [_job(row) for row in rows]

    def counts(self) -> dict[str, int]:
        """How many conversions there are, by state."""
        with self._transaction() as db:
            return dict(db.execute("SELECT state, count(*) FROM conversions GROUP BY state").fetchall())

    def take(self) -> Conversion | None:
        """The conversion that has waited longest; it is running now. None if none waits."""
        with self._transaction() as db:
            row = db.execute(
                "UPDATE conversions SET state = 'running', attempts = attempts + 1 WHERE id = "
                "(SELECT id FROM conversions WHERE state = 'queued' ORDER BY id LIMIT 1) "
                "RETURNING id, folder, request, attempts"
            ).fetchone()
        return row and Conversion(row["id"], row["folder"], json.loads(row["request"]), row["attempts"])

    def finish(self, conversion: int, outcome: Outcome, *, share: bool, keep: float) -> None:
        """Record how a conversion ended. Without `share`, no later job gets this outcome."""
        now = time.time()
        with self._transaction() as db:
            db.execute(
                "UPDATE conversions SET state = ?, outcome = ?, key = iif(?, key, NULL) WHERE id = ?",
                ("failed" if outcome.exit_code else "done", json.dumps(outcome.to_dict()), share, conversion),
            )
            db.execute(
                "UPDATE jobs SET ended = ?, expires = ? WHERE conversion = ? AND ended IS NULL",
                (now, now + keep, conversion),
            )

    def put_back(self, conversion: int) -> None:
        """Queue a running conversion again, at its old place; this run does not count."""
        with self._transaction() as db:
            db.execute("UPDATE conversions SET state = 'queued', attempts = attempts - 1 WHERE id = ?", (conversion,))

    def interrupted(self, attempts: int) -> list[Conversion]:
        """Queue what a server that died was running; return those that were run `attempts` times, which stay."""
        with self._transaction() as db:
            db.execute("UPDATE conversions SET state = 'queued' WHERE state = 'running' AND attempts < ?", (attempts,))
            rows = db.execute("SELECT id, folder, request, attempts FROM conversions WHERE state = 'running'")
            return [Conversion(row["id"], row["folder"], json.loads(row["request"]), row["attempts"]) for row in rows]

    def delete(self, id: str) -> list[tuple[int, str]] | None:
        """Delete a job; None if there is no such job. Returns the conversions that go with it, as (id, folder)."""
        with self._transaction() as db:
            if db.execute("DELETE FROM jobs WHERE id = ?", (id,)).rowcount == 0:
                return None
            return self._delete_unused(db)

    def expire(self) -> tuple[int, list[tuple[int, str]]]:
        """Delete the jobs whose time is over. Returns their number, and the conversions that go, as (id, folder)."""
        with self._transaction() as db:
            count = db.execute("DELETE FROM jobs WHERE expires < ?", (time.time(),)).rowcount
            return count, self._delete_unused(db)

    @staticmethod
    def _delete_unused(db: sqlite3.Connection) -> list[tuple[int, str]]:
        rows = db.execute(
            "DELETE FROM conversions WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.conversion = conversions.id) "
            "RETURNING id, folder"
        ).fetchall()
        return [(row["id"], row["folder"]) for row in rows]

    def folders(self) -> set[str]:
        """The folders of all conversions."""
        with self._transaction() as db:
            return {row["folder"] for row in db.execute("SELECT folder FROM conversions")}

    def has_folder(self, name: str) -> bool:
        """Whether this is the folder of a conversion."""
        with self._transaction() as db:
            return db.execute("SELECT 1 FROM conversions WHERE folder = ?", (name,)).fetchone() is not None


def _job(row: sqlite3.Row) -> JobRow:
    values = dict(row)
    outcome = values["outcome"]
    return JobRow(
        **{
            **values,
            "cached": bool(values["cached"]),
            "request": json.loads(values["request"]),
            "outcome": None if outcome is None else Outcome.from_dict(json.loads(outcome)),
        }
    )
