"""Pairs of models whose true metrics are known, for `benchmarks.gate`: what a simulation of the gate draws from.

The true difference must be known far better than a trial can tell, or an error in it looks like an error of the test.
So it is integrated, not simulated: a classifier sees one noisy signal, so everything about it is an integral over that
signal; a regression's errors are the champion's times a factor.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from ml.evaluation.difference import Answers
from ml.evaluation.metrics import Kind

NOISE = 0.6
"""Standard deviation of what a model sees beside the signal, which has 1; 0.64 of its variance both models share."""
_GRID = np.linspace(-12.0, 12.0, 1_200_001)

Floats = NDArray[np.float64]
Pair = tuple[NDArray[np.generic], Answers, Answers]
"""Labels, the candidate's answers, the champion's."""


@dataclass(frozen=True, kw_only=True)
class Classes:
    """Labels by the softmax of lines in a signal; models that see the signal with noise and answer likewise.

    `slopes` and `offsets` (k,) are of the labels, `shrunk` how much flatter a model's slopes are. With two classes the
    second is predicted from `threshold` on, else the likeliest. The candidate's noise is `worse` times larger.
    """

    name: str
    kind: Kind
    slopes: tuple[float, ...]
    offsets: tuple[float, ...]
    shrunk: float = 0.65
    threshold: float = 0.5
    worse: float = 0.15

    @property
    def classes(self) -> list[int]:
        """As `ml.statistics.paired` takes them."""
        return list(range(len(self.slopes)))

    def draw(self, random: np.random.Generator, rows: int, *, equal: bool) -> Pair:
        """Labels and two models; `equal` ones have noise of the same size."""
        x, common = random.normal(size=rows), random.normal(size=rows)
        below = np.cumsum(self._chances(x, 1.0).T, axis=0)[:-1]
        labels = (random.random(rows) > below).sum(axis=0)

        def model(scale: float) -> Answers:
            return Answers(*self._says(x + NOISE * scale * (0.8 * common + 0.6 * random.normal(size=rows))))

        return labels, model(1.0 if equal else 1.0 + self.worse), model(1.0)

    def truth(self) -> Mapping[str, float]:
        """The worse candidate minus the champion, by integration; off by some 1e-6."""
        ours, theirs = self._metrics(1.0 + self.worse), self._metrics(1.0)
        return {name: ours[name] - theirs[name] for name in ours}

    def _chances(self, x: Floats, shrunk: float) -> Floats:
        # One class after the other in memory, which is several times quicker for few classes.
        powers = np.outer(self.slopes, x) * shrunk + np.asarray(self.offsets)[:, None]
        powers -= powers.max(axis=0)
        np.exp(powers, out=powers)
        powers /= powers.sum(axis=0)
        return np.asarray(powers.T)

    def _says(self, seen: Floats) -> tuple[NDArray[np.intp], Floats]:
        chances = self._chances(seen, self.shrunk)
        two = len(self.slopes) == 2
        return (chances[:, 1] >= self.threshold).astype(np.intp) if two else chances.argmax(axis=1), chances

    def _metrics(self, scale: float) -> dict[str, float]:
        predictions, chances = self._says(_GRID)
        known = Population(weights=self._weights(NOISE * scale), predictions=predictions, chances=chances)
        return known.binary() if self.kind == "binary" else known.weighted()

    def _weights(self, noise: float) -> Floats:
        """Chance of each class together with each point of what a model sees, shape (k, n_points)."""
        x, coarse = np.linspace(-9.0, 9.0, 1801), np.linspace(-12.0, 12.0, 2401)
        joint = self._chances(x, 1.0) * (np.exp(-x * x / 2) / np.sqrt(2 * np.pi) * (x[1] - x[0]))[:, None]
        kernel = np.exp(-(((coarse[:, None] - x[None, :]) / noise) ** 2) / 2) / (noise * np.sqrt(2 * np.pi))
        density = CubicSpline(coarse, kernel @ joint)(_GRID).clip(0.0)
        return np.asarray((density / density.sum()).T)


@dataclass(frozen=True, kw_only=True)
class Population:
    """All there is: the chance of each class at each point, `weights` (k, n_points), and what a model says there.

    `predictions` (n_points,) are indices of classes, `chances` (n_points, k) the model's own.
    """

    weights: Floats
    predictions: NDArray[np.intp]
    chances: Floats

    def binary(self) -> dict[str, float]:
        """The metrics of two classes."""
        hits, said, real = self._counts(1)
        return {**self._plain(), "precision": hits / said, "recall": hits / real, "f1": 2 * hits / (said + real)} | {
            "roc_auc": self._auc(1)
        }

    def weighted(self) -> dict[str, float]:
        """The metrics of many classes, each weighed by its share."""
        parts = [(*self._counts(c), self._auc(c)) for c in range(len(self.weights))]
        return {
            **self._plain(),
            "precision": sum(real * hits / said for hits, said, real, _ in parts),
            "recall": sum(hits for hits, *_ in parts),
            "f1": sum(real * 2 * hits / (said + real) for hits, said, real, _ in parts),
            "roc_auc": sum(real * auc for *_, real, auc in parts),
        }

    def _plain(self) -> dict[str, float]:
        points = np.arange(self.weights.shape[1])
        logs = np.log(self.chances)
        right = self.weights[self.predictions, points].sum()
        return {"accuracy": float(right), "log_loss": float(-(self.weights * logs.T).sum())}

    def _counts(self, wanted: int) -> tuple[float, float, float]:
        said = self.predictions == wanted
        chance = self.weights[wanted]
        return float(chance[said].sum()), float(self.weights[:, said].sum()), float(chance.sum())

    def _auc(self, wanted: int) -> float:
        order = np.argsort(self.chances[:, wanted], kind="stable")
        yes = self.weights[wanted][order]
        no = self.weights.sum(axis=0)[order] - yes
        return float((yes * (np.cumsum(no) - no / 2)).sum() / (yes.sum() * no.sum()))


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """A regression whose candidate has the champion's errors' law, `worse` times larger.

    So RMSE and MAE are larger by exactly that share; R2 is lower by exactly `R2_MARGIN`, which sets the labels' spread.
    With `heavy` above 0 some rows are much harder than others for both, and labels far from the middle are so too.
    """

    name: str
    heavy: float = 0.0
    worse: float = 0.01
    kind: Kind = "regression"
    classes: None = None

    R2_MARGIN = 0.005

    def draw(self, random: np.random.Generator, rows: int, *, equal: bool) -> Pair:
        """Labels and two models."""
        hard, common = random.normal(size=rows), random.normal(size=rows)
        labels = self._spread() * (0.6 * hard + 0.8 * random.normal(size=rows))
        size = np.exp(self.heavy * hard)

        def model(scale: float) -> Answers:
            return Answers(labels + scale * size * (0.8 * common + 0.6 * random.normal(size=rows)), None)

        return labels, model(1.0 if equal else 1.0 + self.worse), model(1.0)

    def truth(self) -> Mapping[str, float]:
        """The worse candidate minus the champion; of RMSE and MAE as a share of the champion's."""
        return {"mae": self.worse, "rmse": self.worse, "r2": -self.R2_MARGIN}

    def _spread(self) -> float:
        squares = np.exp(2 * self.heavy**2)
        return float(np.sqrt(squares * ((1 + self.worse) ** 2 - 1) / self.R2_MARGIN))


LAWS: tuple[Classes | Numbers, ...] = (
    Classes(name="two classes, 32 % yes", kind="binary", slopes=(0, 2), offsets=(0, -1.2), threshold=0.35),
    Classes(name="two classes, 7 % yes", kind="binary", slopes=(0, 2), offsets=(0, -4), threshold=0.07),
    Classes(name="three classes", kind="multiclass", slopes=(-2, 0, 2), offsets=(0, 0.3, -0.8)),
    Numbers(name="numbers, normal errors"),
    Numbers(name="numbers, heavy errors", heavy=0.5),
)
