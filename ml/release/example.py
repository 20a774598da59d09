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
    "floors": {"accuracy": 0.6, "log_loss": 0.7},
    "max_drop": 0.05,
    "max_drops": {},
    "min_test_rows": 100,
    "drift": {"required": True, "min_rows": 100, "min_d": 0.1, "alpha": 0.01},
    "scans": {"required": ["static"], "exceptions": []},
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
        "train": {"from": "2013-01", "to": "2013-06", "rows": 6000},
        "test": {"from": "2013-07", "to": "2013-07", "rows": 1000},
        "dropped": {"no label": 12},
    },
    "code": {"commit": "c" * 40, "dirty": False, "tree_sha256": _A},
    "lock_sha256": _B,
    "environment": {"python": "3.11.2", "packages": {"scikit-learn": "1.9.1"}},
    "parameters": {"max_iter": 200},
    "files": {"model.onnx": _A, "serving.json": _B},
    "model": {"bytes": 4096, "opset": 21, "parity_max_abs_diff": 1e-7, "parity_rows": 1000},
    "metrics": {"accuracy": 0.81, "log_loss": 0.42},
    "champion": {"release": "example-0001", "digest": _B, "metrics": {"accuracy": 0.8, "log_loss": 0.43}},
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
            "verdict": "pass",
            "reason": "nothing found",
            "findings": [],
        }
    },
}


def example(change: Callable[[dict[str, Any]], None] | None = None) -> dict[str, Any]:
    """A sealed record whose gate was really run; `change` edits the evidence in place before that."""
    fields = {**copy.deepcopy(_FIELDS), "gate": {"policy": copy.deepcopy(POLICY)}}
    if change is not None:
        change(fields)
    policy = fields["gate"]["policy"]
    return seal({**fields, "gate": section(judge(evidence_of(fields), policy), policy)})


def example_bytes(change: Callable[[dict[str, Any]], None] | None = None) -> bytes:
    """The canonical bytes of `example`."""
    return canonical_bytes(example(change))
