"""A complete release record of made-up numbers, for the tests and documents of whoever reads records.

Never a release: its id ends in 0000, which `ml.release.store` refuses.
"""

import copy
from collections.abc import Callable
from typing import Any

from ml.gate.judge import evidence_of, judge, section
from ml.release.fields import SCHEMA
from ml.release.record import canonical_bytes, seal

_A, _B = "a" * 64, "b" * 64
POLICY: dict[str, Any] = {
    "preset": "sound",
    "floors": {"accuracy": 0.6, "log_loss": 0.7},
    "min_test_rows": 100,
    "min_class_rows": 50,
    "max_copied_share": 0.1,
    "comparison": {"alpha": 0.05, "power": 0.8, "margin": 0.005, "margins": {}, "relative_margins": {}},
    "slices": {"min_rows": 100, "alpha": 0.05, "margin": 0.03, "relative_margin": 0.1, "floors": {"accuracy": 0.5}},
    "prediction_diff": {"max_flip_rate": 0.25},
    "runtime": {"max_p99_ms_1_row": 50.0, "max_model_bytes": 104857600, "max_peak_rss_mib": 512.0},
    "snapshot": {"required": True},
    "drift": {"required": True, "min_rows": 100, "min_d": 0.1, "alpha": 0.01},
    "scans": {"required": ["static"], "max_age_hours": 24, "advisories": {"scans": [], "max_age_days": 7}},
    "waivers": [],
}
_FIELDS: dict[str, Any] = {
    "schema": SCHEMA,
    "release": "example-0000",
    "problem": "example",
    "kind": "binary",
    "created_at": "2013-08-01T12:00:00Z",
    "data": {
        "source": "made up",
        "snapshot_sha256": _A,
        "snapshot": {"sha256": _A, "rows": 7012},
        "train": {"from": "2013-01", "to": "2013-06", "rows": 6000},
        "test": {"from": "2013-07", "to": "2013-07", "rows": 1000},
        "dropped": {"no label": 12},
        "ledger": {"total": 7012, "accepted": 7000, "dropped": {"no label": 12}, "rejected": {}},
        "freshness": {"newest": "2013-07-31", "as_of": "2013-08-01", "age_days": 0.5, "limit_days": 3.0},
    },
    "code": {"commit": "c" * 40, "dirty": False, "tree_sha256": _A},
    "lock_sha256": _B,
    "environment": {"python": "3.11.2", "packages": {"scikit-learn": "1.9.1"}},
    "parameters": {"max_iter": 200},
    "search": None,
    "files": {"model.onnx": _A, "serving.json": _B},
    "model": {"bytes": 4096, "opset": 21, "parity_max_abs_diff": 1e-7, "parity_rows": 1000},
    "metrics": {"accuracy": 0.81, "log_loss": 0.42},
    "evaluation": {
        "model_sha256": _A,
        "confidence": 0.95,
        "intervals": {
            "accuracy": {"low": 0.7845, "high": 0.8331, "standard_error": 0.0124},
            "log_loss": {"low": 0.3814, "high": 0.4625, "standard_error": 0.0207},
        },
        "counts": {
            "rows": 1000,
            "distinct_rows": 1000,
            "distinct_predictions": 2,
            "classes": {"0": 700, "1": 300},
        },
        "slices": {
            "metric": "accuracy",
            "columns": {
                "airport": [
                    {"value": "north", "rows": 600, "estimate": 0.8, "low": 0.766, "high": 0.83},
                    {"value": "south", "rows": 380, "estimate": 0.84, "low": 0.8, "high": 0.874},
                    {"value": "west", "rows": 20, "estimate": 0.54, "low": 0.33, "high": 0.74},
                ]
            },
        },
        "calibration": {"of": "probability of the second class", "binning": "10 of equal rows", "error": 0.02},
        "runtime": {
            "bytes": 4096,
            "p50_ms_1_row": 0.01,
            "p99_ms_1_row": 0.02,
            "us_per_row_32": 1.5,
            "peak_rss_mib": 60.0,
        },
    },
    "champion": {
        "release": "example-0001",
        "digest": _B,
        "metrics": {"accuracy": 0.8, "log_loss": 0.43},
        "slices": {
            "metric": "accuracy",
            "columns": {
                "airport": [
                    {"value": "north", "rows": 600, "difference": 0.012, "standard_error": 0.008},
                    {"value": "south", "rows": 380, "difference": 0.008, "standard_error": 0.009},
                    {"value": "west", "rows": 20, "difference": 0.0, "standard_error": 0.0},
                ]
            },
        },
        "prediction_diff": {
            "rows": 1000,
            "requests_sha256": _A,
            "flip_rate": 0.034,
            "score_shift": {"mean": 0.002, "mean_absolute": 0.011, "p95_absolute": 0.04},
        },
        "paired": {
            "accuracy": {
                "method": "paired shares",
                "n": 1000,
                "wins": 22,
                "losses": 12,
                "difference": 0.01,
                "standard_error": 0.0058,
            },
            "log_loss": {
                "method": "paired influence",
                "n": 1000,
                "difference": -0.01,
                "standard_error": 0.004,
                "step": 0.0008,
                "support": 1000.0,
            },
        },
    },
    "drift": {
        "features": {
            "distance": {
                "role": "gate",
                "n_reference": 6000,
                "n_current": 1000,
                "missing_reference": 0,
                "missing_current": 0,
                "d": 0.02,
                "p": 0.9,
            }
        }
    },
    "scans": {
        "static": {
            "tool": "bandit",
            "version": "1.9.4",
            "subject": "ml/",
            "subject_sha256": _A,
            "covered": 40,
            "total": 40,
            "database_date": None,
            "scanned_at": "2013-08-01T11:00:00Z",
            "verdict": "pass",
            "reason": "nothing found",
            "findings": [],
        }
    },
    "subjects": {"static": _A},
}


def example(change: Callable[[dict[str, Any]], None] | None = None) -> dict[str, Any]:
    """A sealed record whose gate was really run; `change` edits the evidence in place before that."""
    fields = {**copy.deepcopy(_FIELDS), "gate": {"policy": copy.deepcopy(POLICY)}}
    if change is not None:
        change(fields)
    _follow(fields)
    policy = fields["gate"]["policy"]
    return seal({**fields, "gate": section(judge(evidence_of(fields), policy), policy)})


def _follow(fields: dict[str, Any]) -> None:
    """A model, metrics and a day of the caller's own were measured and scanned, unless the caller says otherwise."""
    static = fields["scans"].get("static", {}) if isinstance(fields.get("scans"), dict) else {}
    if isinstance(static, dict) and static.get("scanned_at") == _FIELDS["scans"]["static"]["scanned_at"]:
        static["scanned_at"] = fields["created_at"]
    evaluation = fields.get("evaluation", {})
    if evaluation.get("model_sha256") == _A:
        evaluation["model_sha256"] = fields["files"]["model.onnx"]
    if evaluation.get("intervals") == _FIELDS["evaluation"]["intervals"] and not {*fields["metrics"]} & {
        *evaluation["intervals"]
    }:
        evaluation["intervals"] = {
            name: {"low": value - 0.02, "high": value + 0.02, "standard_error": 0.01}
            for name, value in fields["metrics"].items()
        }


def example_bytes(change: Callable[[dict[str, Any]], None] | None = None) -> bytes:
    """The canonical bytes of `example`."""
    return canonical_bytes(example(change))
