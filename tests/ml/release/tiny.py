"""A problem that trains in a blink: is x + noise above zero? Two months of made-up rows."""

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
from sklearn.linear_model import LogisticRegression

from ml.data.contract import Contract, number
from ml.data.schema import Feature
from ml.problem import Problem
from ml.security.model_files import scan_model_files
from ml.security.result import Scan, Verdict, moment
from ml.security.subjects import all_of
from ml.training.lineage import lock_sha256

FEATURES = (Feature(name="x", kind="number"), Feature(name="y", kind="number", drift="watch"))
ROWS = 600


def _table(shift: float) -> pd.DataFrame:
    random = np.random.default_rng(7)
    x, y, noise = (random.normal(size=2 * ROWS) for _ in range(3))
    when = pd.to_datetime(["2013-01-15"] * ROWS + ["2013-02-15"] * ROWS)
    x[ROWS:] += shift
    return pd.DataFrame(
        {"when": when, "x": x, "y": y, "label": (x + 0.5 * noise > 0).astype(int), "row": range(2 * ROWS)}
    )


def problem(shift: float = 0.0) -> Problem:
    """`shift` moves x in the month that judges."""
    columns = {feature.name: number(feature) for feature in FEATURES}
    schema = pa.DataFrameSchema({**columns, "label": pa.Column(int, pa.Check.isin([0, 1]))})
    return Problem(
        name="tiny",
        kind="binary",
        package="ml.data",  # any folder of ours: its content is hashed
        source="made up",
        features=FEATURES,
        load=lambda first, last: _table(shift),
        contract=Contract(schema=schema),
        target="label",
        classes=(0, 1),
        estimator=lambda seed: LogisticRegression(random_state=seed),
        time="when",
        key=("row",),
    )


def scanner(verdict: Verdict = "pass") -> Callable[..., dict[str, Scan]]:
    """Every scan that the policy asks for, with one verdict for the code."""

    def scan(root: Path, folder: Path, now: datetime, progress: Callable[[str], None]) -> dict[str, Scan]:
        must = {**all_of(root), "model-files": scan_model_files(folder, "it").subject_sha256}
        must |= dict.fromkeys(("dependencies", "licences", "sbom-project"), lock_sha256())
        verdicts = {**dict.fromkeys(must, "pass"), "code": verdict, "dependencies": "incomplete"}
        common = {"tool": "t", "version": "1", "subject": "s", "covered": 1, "total": 1, "scanned_at": moment(now)}
        return {n: Scan(**common, subject_sha256=must[n], verdict=v, reason="r") for n, v in verdicts.items()}

    return scan


def measure(model: bytes, serving: Mapping[str, Any], x: Any) -> dict[str, Any]:
    """Run-time figures without a process to measure in."""
    times = {"p50_ms_1_row": 0.01, "p99_ms_1_row": 0.02, "us_per_row_32": 1.5}
    return {"bytes": len(model), **times, "peak_rss_mib": 12.5}
