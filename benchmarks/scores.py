"""`python -m benchmarks.scores`: how often the watch over answers is wrong, and what it finds, by real flights.

The months after those that trained the reference release go through its model, in process, and into the server's own
bins; the question is asked by the function that the analysis asks, at a quarter, a half, three quarters and the end of
a watch. With `--write` the table goes into docs/release-walk.md. The seed is stated.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.bounds import upper
from ml import problem as problems
from ml.delivery.analysis import LOOKS_ALPHA
from ml.delivery.promise import Promise
from ml.delivery.scores import Seen, ask
from ml.drift.live import Live
from ml.serving.bins import FeatureBins
from ml.serving.bundle import load
from ml.serving.spec import Spec
from ml.training.inputs import encode
from toolchain.paths import repo_root

SEED: Final = 20130801
RELEASE: Final = "flights-0001"
MONTHS: Final = ("2013-07", "2013-12")
ROWS: Final = 2000
"""Of a watch, and of the time before the switch."""
PROMISE: Final = Promise()
LOOKS: Final = tuple(PROMISE.looks * quarter // 4 for quarter in range(1, 5))
BEGIN, END = "<!-- measured: make bench-scores -->", "<!-- end measured -->"

Places = NDArray[np.intp]
Shift = Callable[[NDArray[np.float64]], NDArray[np.float64]]
Clients = Callable[[np.random.Generator], tuple[Places, Places]]
"""Where the rows before the switch and those after it stand among all, each of shape (ROWS,)."""


@dataclass(frozen=True, kw_only=True)
class Flights:
    """Real rows with the answers of the model."""

    serving: Mapping[str, Any]
    spec: Spec
    x: NDArray[np.float32]
    """Encoded, (n_rows, n_features), in order of departure."""
    scores: NDArray[np.float64]
    """Of the second class, (n_rows,)."""
    days: NDArray[np.intp]
    months: NDArray[np.intp]

    def seen(self, places: Places, shift: Shift) -> Seen:
        """What the server would have counted."""
        bins, scores = FeatureBins(self.spec), shift(self.scores[places])
        bins.add(self.x[places], np.stack([1.0 - scores, scores], axis=1))
        return Seen(
            serving=self.serving,
            live=Live(
                features={name: dict(counts) for name, counts in bins.counts()},
                predictions={name: dict(counts) for name, counts in bins.answers()},
            ),
        )


SHIFTS: Final[Mapping[str, Shift]] = {
    "none": lambda scores: scores,
    "+ 0.15": lambda scores: np.minimum(scores + 0.15, 1.0),
    "+ 0.3": lambda scores: np.minimum(scores + 0.3, 1.0),
    "1 - p": lambda scores: 1.0 - scores,
}


def flights() -> Flights:
    """The months after training, through the reference release's model."""
    folder = repo_root() / "releases" / RELEASE
    model = load(folder, RELEASE).model
    table = (problem := problems.current()).load(*MONTHS)
    table = table[table["status"] == "flown"].sort_values("departure", kind="stable")
    x = encode(problem, table)
    x.setflags(write=False)
    scores = np.concatenate([model.predict(x[at : at + 10_000]).probabilities[:, 1] for at in range(0, len(x), 10_000)])
    return Flights(
        serving=json.loads((folder / "serving.json").read_bytes()),
        spec=model.spec,
        x=x,
        scores=scores,
        days=table["departure"].dt.day_of_year.to_numpy(dtype=np.intp),
        months=table["departure"].dt.month.to_numpy(dtype=np.intp),
    )


def clients(found: Flights) -> Mapping[str, Clients]:
    """What clients send before and after the switch."""

    def day(random: np.random.Generator) -> tuple[Places, Places]:
        places = np.flatnonzero(found.days == random.choice(found.days))
        return random.choice(places, ROWS), random.choice(places, ROWS)

    def month(random: np.random.Generator) -> tuple[Places, Places]:
        places = np.flatnonzero(found.months == random.choice(found.months))
        return random.choice(places, ROWS), random.choice(places, ROWS)

    def order(random: np.random.Generator) -> tuple[Places, Places]:
        at = random.integers(ROWS, len(found.x) - ROWS)
        return np.arange(at - ROWS, at), np.arange(at, at + ROWS)

    def repeats(share: float, *, before: bool) -> Clients:
        def drawn(random: np.random.Generator) -> tuple[Places, Places]:
            usual, now = day(random)
            same = random.integers(len(found.x))
            repeated = random.random((2, ROWS)) < share
            return np.where(repeated[0] & before, same, usual), np.where(repeated[1], same, now)

        return drawn

    return {
        "all ask about the flights of one day": day,
        "the flights of one month, mixed": month,
        "flights in order, two days before the switch and the next two": order,
        "one client repeats one flight": repeats(1.0, before=False),
        "one client repeats one flight, before the switch as well": repeats(1.0, before=True),
        "half of all rows are one flight": repeats(0.5, before=False),
        "half of all rows are one flight, before the switch as well": repeats(0.5, before=True),
        "a fifth of all rows are one flight": repeats(0.2, before=False),
    }


def rows(found: Flights, windows: int, few: int) -> Iterator[str]:
    """The table, a line each."""
    heads = ["clients", "answers moved", "windows", "asked", "failed", "without a champion: asked", "failed"]
    yield f"| {' | '.join(heads)} |"
    yield "|---|---|" + "---:|" * (len(heads) - 2)
    for index, (name, draw) in enumerate(clients(found).items()):
        natural = "one flight" not in name
        for shift in SHIFTS if natural else ("none",):
            count = windows if shift == "none" and natural else few
            random = np.random.default_rng([SEED, index])
            tally = np.sum([_watched(found, draw(random), SHIFTS[shift]) for _ in range(count)], axis=0)
            bound = f" (99 % bound {100 * upper(int(tally[1]), count):.1f} %)" if shift == "none" else ""
            shares = [f"{100 * part / count:.0f} %" for part in tally]
            shares[1] = f"{tally[1]:.0f}{bound}" if shift == "none" else shares[1]
            yield f"| {name} | {shift} | {count} | {' | '.join(shares)} |"


def _watched(found: Flights, places: tuple[Places, Places], shift: Shift) -> NDArray[np.float64]:
    """Whether a watch asked and failed, with the champion's counts and without."""
    before = found.seen(places[0], SHIFTS["none"])
    seen = [(look, found.seen(places[1][: ROWS * look // PROMISE.looks], shift)) for look in LOOKS]
    made = []
    for champion in (before, None):
        answers = [ask(PROMISE, now, champion, look, LOOKS_ALPHA) for look, now in seen]
        made += [any(one.value is not None for one in answers), any(one.outcome == "fail" for one in answers)]
    return np.asarray(made, dtype=np.float64)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scores", description=__doc__)
    parser.add_argument("--windows", type=int, default=200, help="of natural months (default: %(default)s)")
    parser.add_argument("--few", type=int, default=60, help="of every other kind (default: %(default)s)")
    parser.add_argument("--write", action="store_true", help="put the table into docs/release-walk.md")
    given = parser.parse_args()
    table = "\n".join(rows(flights(), given.windows, given.few))
    print(table)
    if given.write:
        page = repo_root() / "docs" / "release-walk.md"
        head, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
        page.write_text(f"{head}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
