"""Progress on a terminal or in a log: what is running, and for how long. Standard library only.

On a terminal the lines of running tasks are drawn in place; elsewhere each running task says so every 15 s.
"""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TextIO


def duration(seconds: float) -> str:
    """Seconds in words of at most two units."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


@dataclass
class Task:
    """One named thing that takes time."""

    name: str
    doing: str
    started: float = field(default_factory=time.monotonic)
    said: float = field(default_factory=time.monotonic)
    outcome: str = ""

    def now(self, doing: str) -> None:
        """Say what the task does from now on."""
        self.doing = doing

    def done(self, outcome: str) -> None:
        """Set the words of the closing line."""
        self.outcome = outcome

    def line(self) -> str:
        """The task as one line."""
        return f"  {self.name:<27} {self.doing} ({duration(time.monotonic() - self.started)})"


class Display:
    """Shows tasks that may run side by side; safe to use from several threads."""

    def __init__(self, stream: TextIO | None = None, *, interval_s: float = 15.0) -> None:
        self._stream = stream if stream is not None else sys.stdout
        self._interval_s = interval_s
        self._live = self._stream.isatty()
        self._tasks: list[Task] = []
        self._drawn = 0
        self._lock = threading.RLock()
        self._ticker: threading.Thread | None = None

    def say(self, text: str) -> None:
        """Print a line above the running tasks."""
        with self._lock:
            self._erase()
            print(text, file=self._stream)
            self._draw()

    @contextmanager
    def task(self, name: str, doing: str) -> Iterator[Task]:
        """Show a task while the block runs, then one line with its outcome and how long it took."""
        task = Task(name, doing)
        with self._lock:
            if not self._live:
                print(f"  {name:<27} {doing}", file=self._stream, flush=True)
            self._tasks.append(task)
            self._start_ticker()
        try:
            yield task
        except BaseException:
            task.done("failed")
            raise
        finally:
            with self._lock:
                self._tasks.remove(task)
                took = duration(time.monotonic() - task.started)
                self.say(f"  {name:<27} {task.outcome or 'done'} ({took})")

    def _start_ticker(self) -> None:
        if self._ticker is None:
            self._ticker = threading.Thread(target=self._tick, name="display", daemon=True)
            self._ticker.start()

    def _tick(self) -> None:
        while True:
            time.sleep(0.2 if self._live else min(0.5, self._interval_s / 2))
            with self._lock:
                if self._live:
                    self._erase()
                    self._draw()
                else:
                    self._repeat()

    def _repeat(self) -> None:
        now = time.monotonic()
        for task in self._tasks:
            if now - task.said >= self._interval_s:
                task.said = now
                print(task.line(), file=self._stream, flush=True)

    def _erase(self) -> None:
        if self._live and self._drawn:
            self._stream.write(f"\x1b[{self._drawn}A\x1b[J")
            self._drawn = 0

    def _draw(self) -> None:
        if self._live:
            for task in self._tasks:
                self._stream.write(task.line()[:118] + "\n")
            self._drawn = len(self._tasks)
        self._stream.flush()
