"""Structured logs: one event name plus fields, one JSON object a line on stdout."""

import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any

import msgspec

_SECRET = re.compile(r"(?i)(bearer\s+|x-api-key['\": ]+)[^\s'\",]+")


def event(logger: logging.Logger, level: int, name: str, **fields: Any) -> None:
    """Log an event with its fields."""
    logger.log(level, name, extra={"fields": fields})


class JsonFormatter(logging.Formatter):
    """A record as one JSON line; credentials in any text are blotted out."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "logger": record.name,
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _SECRET.sub(r"\1***", msgspec.json.encode(line, enc_hook=str).decode())


def configure(level: int = logging.INFO) -> None:
    """Send every logger's lines to stdout as JSON."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
