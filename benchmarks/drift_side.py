"""One side of the drift benchmark in a process of its own: `python drift_side.py SIDE FOLDER`, one JSON line out.

Runs in the project's environment (`ours`, `exact`, `scipy`) or in the peer's own (`alibi`), so it imports nothing of
ours before it knows which. `extra_mib` is how far the peak of memory rises above what the data themselves take.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Timed = tuple[float, float, list[float], list[bool]]
"""Seconds to prepare, seconds to check, the distance and the decision of each column."""


def main() -> None:
    """Load the data, run the side twice (the first warms imports up on a few columns), print what was measured."""
    side, folder = sys.argv[1], Path(sys.argv[2])
    current = np.load(folder / "current.npy")
    reference = None if side in ("ours", "exact") else np.load(folder / "reference.npy")
    run = SIDES[side]
    run(folder, None if reference is None else reference[:2, :200], current[:2, :200])
    before = _peak_mib()
    prepare_s, check_s, distances, moved = run(folder, reference, current)
    measured = {"prepare_s": prepare_s, "check_s": check_s, "extra_mib": _peak_mib() - before}
    print(json.dumps({**measured, "d": distances, "moved": moved}))


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def prepared(folder: Path, _reference: Any, current: Any) -> Timed:
    """Ours: only the folder that `mlp drift prepare` would have written and the new rows."""
    from ml.drift.compare import compare  # noqa: PLC0415  (not in the peer's environment)
    from ml.drift.decide import judge  # noqa: PLC0415
    from ml.drift.reference import Reference, load  # noqa: PLC0415

    started = time.perf_counter()
    known = load(folder / ("exact" if sys.argv[1] == "exact" else "grid"))
    loaded = time.perf_counter()
    wanted = known.features[: len(current)]
    columns = {feature.name: current[index] for index, feature in enumerate(wanted)}
    features = compare(Reference(features=wanted, columns=known.columns, about={}), columns)
    outcomes = judge({"features": features}, {"min_rows": 500, "min_d": 0.05, "alpha": 0.01})
    done = time.perf_counter()
    moved = {outcome.feature: outcome.state == "moved" for outcome in outcomes}
    names = [feature.name for feature in wanted]
    return loaded - started, done - loaded, [features[name]["d"] for name in names], [moved[name] for name in names]


def scipy_loop(_folder: Path, reference: Any, current: Any) -> Timed:
    """What everybody writes first."""
    from scipy.stats import ks_2samp  # noqa: PLC0415

    started = time.perf_counter()
    found = [ks_2samp(left, right, method="asymp") for left, right in zip(reference, current, strict=True)]
    seconds = time.perf_counter() - started
    return 0.0, seconds, [float(ks.statistic) for ks in found], [bool(ks.pvalue < 0.05) for ks in found]


def alibi(_folder: Path, reference: Any, current: Any) -> Timed:
    """alibi-detect's detector, feature by feature, with its own defaults."""
    from alibi_detect.cd import KSDrift  # type: ignore[import-not-found]  # noqa: PLC0415  (its own environment)

    started = time.perf_counter()
    detector = KSDrift(reference.T, p_val=0.05)
    made = time.perf_counter()
    found = detector.predict(current.T, drift_type="feature", return_p_val=True, return_distance=True)["data"]
    seconds = time.perf_counter() - made
    return made - started, seconds, [float(d) for d in found["distance"]], [bool(drift) for drift in found["is_drift"]]


SIDES: dict[str, Callable[[Path, Any, Any], Timed]] = {
    "ours": prepared,
    "exact": prepared,
    "scipy": scipy_loop,
    "alibi": alibi,
}

if __name__ == "__main__":
    main()
