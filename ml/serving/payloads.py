"""The payload log: a sample of what was asked and answered, without what must not be kept. Off unless it is asked for.

One JSON object a line, in a file that is bounded: at `MAX_BYTES` it becomes `<name>.1`, and the `.1` before it goes.
Redacted are the features named in the settings, and every category that the release does not know: what a client wrote
there is its own text. What cannot be written is counted by reason, and the first of a kind is logged with its request
id; it never costs the request anything.
"""

import logging
import os
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from ml.data.schema import Feature
from ml.errors import ConfigError
from ml.serving.batching import Answer
from ml.serving.encoder import RowTuple
from ml.serving.log import event

logger = logging.getLogger(__name__)

MAX_BYTES = 8 * 1024 * 1024
MAX_LINE_BYTES = 64 * 1024
REDACTED = "***"


@dataclass(frozen=True, kw_only=True, slots=True)
class PayloadSettings:
    """Where the log goes, which share of requests it takes, in [0, 1], and which features it leaves out."""

    path: Path
    share: float
    redacted: frozenset[str] = frozenset()


class PayloadLog:
    """Writes the sample of one process. `counts` is by outcome: written, too_large, failed."""

    def __init__(
        self,
        settings: PayloadSettings,
        features: Sequence[Feature],
        version: str,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.counts = {"written": 0, "too_large": 0, "failed": 0}
        self._path = settings.path
        self._share = settings.share
        self._version = version
        self._draw = draw
        self._names = [feature.name for feature in features]
        self._keep = [_keeper(feature, settings.redacted) for feature in features]
        self._reported: set[str] = set()

    def offer(self, identity: str, rows: Sequence[RowTuple], answer: Answer) -> None:
        """Log the request, if it is drawn."""
        if self._draw() >= self._share:
            return
        kept = [
            {name: keep(value) for name, keep, value in zip(self._names, self._keep, row, strict=True)} for row in rows
        ]
        entry = {
            "time": time.time(),
            "request_id": identity,
            "model_version": self._version,
            "rows": kept,
            "predictions": answer.labels,
            "scores": answer.scores,
        }
        line = msgspec.json.encode(entry) + b"\n"
        if len(line) > MAX_LINE_BYTES:
            self._dead_letter("too_large", identity, f"{len(line)} bytes, at most {MAX_LINE_BYTES}")
            return
        try:
            self._write(line)
        except OSError as error:
            self._dead_letter("failed", identity, str(error))
        else:
            self.counts["written"] += 1
            self._reported.discard("failed")

    def _write(self, line: bytes) -> None:
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            if os.fstat(file).st_size + len(line) > MAX_BYTES:
                self._path.replace(self._path.with_name(self._path.name + ".1"))
                os.close(file)
                file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            os.write(file, line)
        finally:
            os.close(file)

    def _dead_letter(self, outcome: str, identity: str, reason: str) -> None:
        self.counts[outcome] += 1
        if outcome not in self._reported:
            self._reported.add(outcome)
            event(logger, logging.WARNING, "payload_not_logged", outcome=outcome, request_id=identity, reason=reason)


def open_log(settings: PayloadSettings | None, features: Sequence[Feature], version: str) -> PayloadLog | None:
    """The log of a release; None where it is off.

    Raises:
        ConfigError: `ML-SERVE-011` when a feature to redact is not one of the release's: a typo would log it.
    """
    if settings is None:
        return None
    unknown = sorted(settings.redacted - {feature.name for feature in features})
    if unknown:
        message = f"PAYLOAD_LOG_REDACT names {unknown[0]!r}, which is no feature of {version}"
        raise ConfigError("ML-SERVE-011", message, f"name some of: {', '.join(feature.name for feature in features)}")
    return PayloadLog(settings, features, version)


def _keeper(feature: Feature, redacted: frozenset[str]) -> Callable[[Any], Any]:
    if feature.name in redacted:
        return lambda _: REDACTED
    if feature.kind == "category":
        known = frozenset(feature.categories)
        return lambda value: value if value is None or value in known else REDACTED
    return lambda value: value
