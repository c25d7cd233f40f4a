"""The log: a line of JSON for each event, on stderr."""

from __future__ import annotations

import json
import logging
from datetime import datetime, timezone

from kerasgen.service.guard import request_id

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}


class JsonFormatter(logging.Formatter):
    """Plain ASCII, one line: whatever a text is made of, it starts no new line and reaches no terminal unescaped."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record, with all that was given as `extra`."""
        time = datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds")
        data = {"time": time, "level": record.levelname.lower(), "event": record.getMessage()}
        if request_id.get():
            data["request"] = request_id.get()
        data.update((key, value) for key, value in vars(record).items() if key not in _OWN)
        if record.exc_info:
            data["traceback"] = self.formatException(record.exc_info)
        return json.dumps(data, default=str)


def start_logging(quiet: bool) -> None:
    """Write the log to stderr; only warnings and errors if it shall be `quiet`."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.WARNING if quiet else logging.INFO, handlers=[handler], force=True)
    for name in ("uvicorn.error", "uvicorn.access"):  # what they say of connections is in our lines
        logging.getLogger(name).setLevel(logging.WARNING)
