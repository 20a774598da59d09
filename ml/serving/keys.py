"""The API keys of the prediction endpoints: sha256 in hex, one a line, read again when the file changes.

Plain keys are never stored and never logged. A rotation writes both keys, waits, then writes the new one alone.
"""

import hashlib
import hmac
import logging
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from ml.errors import ConfigError
from ml.serving.log import event

logger = logging.getLogger(__name__)

CHECK_EVERY_S = 1.0
_DIGEST = re.compile(r"[0-9a-f]{64}")


class KeyRing:
    """Accepts the keys whose hashes stand in a file.

    A file that vanishes or breaks while the server runs keeps the last good keys, logged once for each change: a
    botched rotation must not lock every client out. Writing the file without a hash revokes its key.

    Raises:
        ConfigError: `ML-SERVE-008` when the file is not usable at the start.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._stamp = self._current_stamp()
        self._digests = _read(path)
        self._check_at = clock() + CHECK_EVERY_S

    def accepts(self, key: bytes | None) -> bool:
        """Whether the key's hash is known; compares with every hash in constant time."""
        if self._clock() >= self._check_at:
            self._refresh()
        digest = hashlib.sha256(key or b"").hexdigest()
        known = False
        for candidate in self._digests:
            known |= hmac.compare_digest(candidate, digest)
        return known and bool(key)

    def _refresh(self) -> None:
        self._check_at = self._clock() + CHECK_EVERY_S
        stamp = self._current_stamp()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._digests = _read(self._path)
        except ConfigError as error:
            event(logger, logging.ERROR, "api_keys_kept", code=error.code, reason=error.message)
        else:
            event(logger, logging.INFO, "api_keys_read", keys=len(self._digests))

    def _current_stamp(self) -> tuple[int, int, int] | None:
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_ino, stat.st_size


def key_of(headers: Mapping[bytes, bytes]) -> bytes | None:
    """The key of a request: `X-API-Key`, else the bearer token."""
    key = headers.get(b"x-api-key")
    if key is not None:
        return key
    scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else None


def _read(path: Path) -> tuple[str, ...]:
    fix = 'write one sha256 in hex a line: printf %s "$KEY" | sha256sum'
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("ML-SERVE-008", f"API_KEYS_FILE {path}: {error}", fix) from error
    digests = tuple(line for line in lines if line and not line.startswith("#"))
    wrong = [number for number, line in enumerate(lines, 1) if line in digests and not _DIGEST.fullmatch(line)]
    if wrong or not digests:  # the line itself may be a plain key: say only where
        what = f"line {wrong[0]} is not a sha256 in hex" if wrong else "it holds no hash"
        raise ConfigError("ML-SERVE-008", f"API_KEYS_FILE {path}: {what}", fix)
    return digests
