"""Train again from a release record alone, and say which input differs if the result does.

The record names everything that decides a model: months, seed, the winner of the search, the hashes of data, code and
lock file, and the versions of the environment. The search itself is not repeated; its winner is in the record.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml.errors import DataError
from ml.problem import Problem
from ml.training import run
from ml.training.candidate import Candidate
from ml.training.inputs import Progress
from ml.training.plan import NONE


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """What training from a record came to.

    Attributes:
        inputs: Input -> (in the record, here), for each that differs.
        files: Files whose bytes differ.
        metrics: Metric -> (in the record, here), for each that differs.
    """

    inputs: Mapping[str, tuple[Any, Any]]
    files: tuple[str, ...]
    metrics: Mapping[str, tuple[Any, Any]]

    @property
    def is_same(self) -> bool:
        """Whether the model's bytes and every metric came out again."""
        return not self.files and not self.metrics


def reproduce(problem: Problem, record: Mapping[str, Any], *, progress: Progress) -> Reproduction:
    """Train from a record, without looking at earlier trainings.

    Raises:
        DataError: If the record is of another problem or names no seed.
        PipelineError: Whatever training raises.
    """
    parameters = record["parameters"]
    if record["problem"] != problem.name or "seed" not in parameters:
        message = f"the record is of problem {record['problem']!r}; this checkout is about {problem.name!r}"
        raise DataError("ML-TRAIN-022", message, "reproduce a release of this checkout's problem")
    with tempfile.TemporaryDirectory() as folder:
        candidate = run.train(
            problem,
            parameters.get("through"),
            out=Path(folder) / "out",
            cached=Path(folder) / "train",  # empty: a model from the cache would prove nothing
            seed=parameters["seed"],
            search=record.get("search") or NONE,
            progress=progress,
        )
    return compare(record, candidate)


def compare(record: Mapping[str, Any], candidate: Candidate) -> Reproduction:
    """Where a candidate differs from the record it was made from. Pure."""
    made = {"model.onnx", "serving.json"}
    files = tuple(sorted(name for name in made if record["files"][name] != candidate.files[name]))
    return Reproduction(
        inputs=_differences(_inputs(record), _inputs_of(candidate)),
        files=files,
        metrics=_differences(record["metrics"], candidate.metrics),
    )


def _inputs(record: Mapping[str, Any]) -> dict[str, Any]:
    environment = record["environment"]
    return {
        "data.source": record["data"]["source"],
        "data.snapshot_sha256": record["data"]["snapshot_sha256"],
        "code.tree_sha256": record["code"]["tree_sha256"],
        "lock_sha256": record["lock_sha256"],
        "environment.python": environment["python"],
        **{f"environment.packages.{name}": version for name, version in environment["packages"].items()},
        **{f"parameters.{name}": value for name, value in record["parameters"].items()},
    }


def _inputs_of(candidate: Candidate) -> dict[str, Any]:
    return _inputs(
        {
            "data": candidate.data,
            "code": {"tree_sha256": candidate.tree_sha256},
            "lock_sha256": candidate.lock_sha256,
            "environment": candidate.environment,
            "parameters": candidate.parameters,
        }
    )


def _differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    names = sorted({*then, *now})
    return {name: (then.get(name), now.get(name)) for name in names if then.get(name) != now.get(name)}
