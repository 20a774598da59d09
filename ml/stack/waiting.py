"""How a command waits for something in the cluster: it looks again and again, says what is missing, and gives up."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic, sleep
from typing import Final

from ml.errors import TransientError

PAUSE_S: Final = 1.0
SHOWN: Final = 10


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """Whom it tells, and its clock."""

    say: Callable[[str], None] = lambda _words: None
    now: Callable[[], float] = monotonic
    sleep: Callable[[float], None] = sleep

    def until(self, what: str, missing: Callable[[], Sequence[str]], most_s: float, code: str) -> float:
        """Look until nothing is missing; how many seconds that took.

        Raises:
            TransientError: With the code, when something is still missing after `most_s`.
        """
        began, told = self.now(), ""
        while left := missing():
            waited = self.now() - began
            if waited > most_s:
                raise TransientError(code, f"{what}: not within {most_s:.0f} s: {_listed(left)}", "the same command")
            if (words := f"{what}: waiting for {_listed(left)}") != told:
                self.say(words)
                told = words
            self.sleep(PAUSE_S)
        return self.now() - began


def _listed(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return "; ".join(names[:SHOWN]) + (f"; and {more} more" if more > 0 else "")
