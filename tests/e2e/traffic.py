"""A client that calls the live Service all the time, with a new connection for each call, and counts what it saw."""

import http.client
import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Self


@dataclass
class Traffic:
    """Calls `/predict` every `interval_s` until stopped. Only 127.0.0.1, at most `limit` calls."""

    port: int
    key: str
    body: str
    interval_s: float = 0.01
    limit: int = 60_000
    versions: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join(timeout=30)

    @property
    def calls(self) -> int:
        return sum(self.versions.values()) + len(self.failures)

    def wait_for(self, calls: int, deadline_s: float = 60) -> None:
        """Return when `calls` more calls were answered."""
        goal, end = self.calls + calls, time.monotonic() + deadline_s
        while self.calls < goal:
            if time.monotonic() > end:
                raise AssertionError(f"traffic stalled at {self.calls} calls, wanted {goal}")
            time.sleep(0.05)

    def _loop(self) -> None:
        while not self._stop.is_set() and self.calls < self.limit:
            started = time.monotonic()
            try:
                self.versions[predict(self.port, self.key, self.body)["model_version"]] += 1
            except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
                self.failures.append(f"{time.time():.3f} {error!r}")
            self._stop.wait(max(0.0, self.interval_s - (time.monotonic() - started)))


def predict(port: int, key: str, body: str) -> dict[str, str]:
    """One prediction over a new connection; ValueError when the answer is not a 200 with a prediction."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request(
            "POST", "/predict", body, {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        )
        response = connection.getresponse()
        text = response.read().decode()
    finally:
        connection.close()
    if response.status != 200:
        raise ValueError(f"HTTP {response.status}: {text[:200]}")
    answer: dict[str, str] = json.loads(text)
    return answer
