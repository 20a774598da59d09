"""One side of the drift benchmark in a process of its own: `python drift_side.py SIDE FOLDER`, one JSON line out.

Runs in the project's environment (`ours`, `exact`, `scipy`) or in the peer's own (`alibi`), so it imports nothing of
ours before it knows which. `extra_mib` is how far the peak of memory rises above what the data themselves take.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np


class Timed(NamedTuple):
    """Seconds to prepare and to check, processor time of the check, the distance and the decision of each column."""

    prepare_s: float
    check_s: float
    check_cpu_s: float
    distances: list[float]
    moved: list[bool]


class Clock:
    """Wall and processor time since it was made; the latter is what another job on the machine changes little."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def seconds(self) -> tuple[float, float]:
        """Wall, processor."""
        return time.perf_counter() - self._wall, time.process_time() - self._cpu


def main() -> None:
    """Load the data, run the side twice, the first time on a few rows, print what was measured."""
    side, folder = sys.argv[1], Path(sys.argv[2])
    current = np.load(folder / "current.npy")
    reference: Any = None if side in ("ours", "exact") else np.load(folder / "reference.npy")
    run = SIDES[side]
    # A few rows, so that nothing measured is an import; ours prepares them: a reference loaded now would go uncounted.
    run(folder, current[:2, :200] if reference is None else reference[:2, :200], current[:2, :200])
    before = _peak_mib()
    timed = run(folder, reference, current)
    measured = {"prepare_s": timed.prepare_s, "check_s": timed.check_s, "check_cpu_s": timed.check_cpu_s}
    measured["extra_mib"] = _peak_mib() - before
    print(json.dumps({**measured, "d": timed.distances, "moved": timed.moved}))


def _peak_mib() -> float:
    """Of this program alone: the figure of getrusage begins with the peak of the process that started it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def prepared(folder: Path, reference: Any, current: Any) -> Timed:
    """Ours: only the folder that `mlp drift prepare` would have written and the new rows."""
    from ml.data.schema import Feature  # noqa: PLC0415
    from ml.drift.compare import compare  # noqa: PLC0415  (not in the peer's environment)
    from ml.drift.decide import judge  # noqa: PLC0415
    from ml.drift.reference import load, prepare_columns  # noqa: PLC0415

    loading = Clock()
    if reference is None:
        known = load(folder / ("exact" if sys.argv[1] == "exact" else "grid"))
    else:
        features = [Feature(name=f"f{index}", kind="number") for index in range(len(reference))]
        known = prepare_columns(features, {f"f{index}": column for index, column in enumerate(reference)}, {})
    loaded, checking = loading.seconds()[0], Clock()
    columns = {feature.name: current[index] for index, feature in enumerate(known.features)}
    found = compare(known, columns)
    outcomes = judge({"features": found}, {"min_rows": 500, "min_d": 0.05, "alpha": 0.01})
    wall, cpu = checking.seconds()
    moved = {outcome.feature: outcome.state == "moved" for outcome in outcomes}
    return Timed(loaded, wall, cpu, [found[name]["d"] for name in columns], [moved[name] for name in columns])


def scipy_loop(_folder: Path, reference: Any, current: Any) -> Timed:
    """What everybody writes first."""
    from scipy.stats import ks_2samp  # noqa: PLC0415

    checking = Clock()
    found = [ks_2samp(left, right, method="asymp") for left, right in zip(reference, current, strict=True)]
    wall, cpu = checking.seconds()
    return Timed(0.0, wall, cpu, [float(ks.statistic) for ks in found], [bool(ks.pvalue < 0.05) for ks in found])


def alibi(_folder: Path, reference: Any, current: Any) -> Timed:
    """alibi-detect's detector, feature by feature, with its own defaults."""
    from alibi_detect.cd import KSDrift  # type: ignore[import-not-found]  # noqa: PLC0415  (its own environment)

    making = Clock()
    detector = KSDrift(reference.T, p_val=0.05)
    made, checking = making.seconds()[0], Clock()
    found = detector.predict(current.T, drift_type="feature", return_p_val=True, return_distance=True)["data"]
    wall, cpu = checking.seconds()
    return Timed(made, wall, cpu, [float(d) for d in found["distance"]], [bool(drift) for drift in found["is_drift"]])


SIDES: dict[str, Callable[[Path, Any, Any], Timed]] = {
    "ours": prepared,
    "exact": prepared,
    "scipy": scipy_loop,
    "alibi": alibi,
}

if __name__ == "__main__":
    main()
