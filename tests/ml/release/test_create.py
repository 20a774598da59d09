import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ml.errors import GateError, PipelineError, UsageError
from ml.problem import Problem
from ml.release import store
from ml.release.champion import answers
from ml.release.create import Request, create
from ml.training.run import train
from tests.ml.release.signing import SIGNER, trust
from tests.ml.release.tiny import measure, problem, scanner

pytestmark = pytest.mark.integration

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
FIRST = Request(through="2013-01", champion=None)


def make(root: Path, request: Request = FIRST, made_of: Problem | None = None, scan: Any = None) -> store.Release:
    trust(root)
    return create(
        root,
        made_of or problem(),
        request,
        now=NOW,
        signer=SIGNER,
        progress=lambda step: None,
        scan=scan or scanner(),
        measure=measure,
    )


def outcome(release: store.Release, rule: str, name: str) -> str:
    return next(str(c["reason"]) for c in release.record["gate"]["checks"] if (c["rule"], c["name"]) == (rule, name))


def test_a_good_model_becomes_a_release_that_verifies(tmp_path: Path) -> None:
    release = make(tmp_path)

    assert store.verify(tmp_path, "tiny-0001").raw == release.raw
    assert release.record["gate"]["mode"] == "bootstrap"
    assert release.record["created_at"] == "2026-01-31T12:00:00Z"
    assert release.record["metrics"]["roc_auc"] > 0.8
    assert sorted(path.name for path in release.directory.iterdir()) == [
        "drift.json",
        "evaluation.json",
        "model.onnx",
        "record.dsse.json",
        "record.json",
        "report.html",
        "serving.json",
    ]
    assert release.record["files"]["drift.json"] == store.sha256_of(release.directory / "drift.json")
    assert list((tmp_path / ".build/releases").iterdir()) == []


def test_the_champion_is_judged_on_the_same_rows(tmp_path: Path) -> None:
    first = make(tmp_path)

    second = make(tmp_path, replace(FIRST, champion="tiny-0001"))

    assert second.id == "tiny-0002"
    champion = dict(second.record["champion"])
    paired = champion.pop("paired")
    assert champion == {
        "release": "tiny-0001", "digest": first.digest, "metrics": second.record["metrics"],
        "slices": {"metric": "accuracy", "columns": {}},
        "prediction_diff": {
            "rows": 600, "requests_sha256": second.record["champion"]["prediction_diff"]["requests_sha256"],
            "flip_rate": 0, "score_shift": {"mean": 0, "mean_absolute": 0, "p95_absolute": 0},
        },
    }  # fmt: skip
    assert {entry["difference"] for entry in paired.values()} == {0.0}
    assert (paired["accuracy"]["n"], paired["accuracy"]["wins"], paired["accuracy"]["losses"]) == (600, 0, 0)
    # Even with no row between them, 600 rows do not prove half a point.
    assert outcome(second, "champion", "accuracy") == "not-proven-as-good"
    assert second.record["gate"]["verdict"] == "inconclusive"


def test_drift_of_a_gated_feature_fails_the_release_and_is_written(tmp_path: Path) -> None:
    release = make(tmp_path, made_of=problem(shift=1.0))

    assert release.record["gate"]["verdict"] == "fail"
    assert outcome(release, "drift", "x") == "drifted"
    assert store.is_trustworthy(tmp_path, release.id)
    with pytest.raises(GateError):
        store.verify(tmp_path, release.id)


def test_a_failed_scan_fails_the_release(tmp_path: Path) -> None:
    release = make(tmp_path, scan=scanner("fail"))

    assert outcome(release, "scan", "code") == "scan-failed"
    assert outcome(release, "scan", "dependencies") == "waived"


def test_nothing_is_written_when_training_fails(tmp_path: Path) -> None:
    with pytest.raises(PipelineError):
        make(tmp_path, replace(FIRST, through="2013-1"))

    assert [path.name for path in (tmp_path / "releases").iterdir()] == ["keys"]
    assert list((tmp_path / ".build/releases").iterdir()) == []


def test_an_interrupted_run_leaves_no_half_release(tmp_path: Path) -> None:
    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, scan=interrupted)

    assert [path.name for path in (tmp_path / "releases").iterdir()] == ["keys"]


def test_a_release_is_never_overwritten(tmp_path: Path) -> None:
    before = make(tmp_path).raw

    with pytest.raises(UsageError) as refused:
        make(tmp_path, replace(FIRST, release_id="tiny-0001"))

    assert refused.value.code == "ML-REL-004"
    assert store.load(tmp_path, "tiny-0001").raw == before


def test_a_malformed_id_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="ML-REL-003"):
        make(tmp_path, replace(FIRST, release_id="../tiny-0001"))


def _edit_serving(change: Callable[[dict[str, Any]], Any]) -> Callable[[store.Release], None]:
    def spoil(release: store.Release) -> None:
        path = release.directory / "serving.json"
        serving = json.loads(path.read_bytes())
        change(serving)
        path.write_text(json.dumps(serving))

    return spoil


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda s: s.update(problem="other"), "it predicts other"),
        (lambda s: s["features"][0].update(name="gone"), "gone"),
        (lambda s: s["golden"].update(probabilities=[[0.5, 0.5]] * len(s["golden"]["rows"])), "golden rows"),
    ],
)
def test_a_champion_that_cannot_be_compared_is_no_champion(
    tmp_path: Path, change: Callable[[dict[str, Any]], Any], why: str
) -> None:
    release = make(tmp_path)
    candidate = train(problem(), "2013-01", out=tmp_path / "out", cached=tmp_path / "cache", measure=measure)
    _edit_serving(change)(release)

    with pytest.raises(GateError, match=why) as refused:
        answers(release, problem(), candidate.test_features)
    assert refused.value.code == "ML-GATE-002"


def test_a_champion_that_does_not_verify_stops_the_run(tmp_path: Path) -> None:
    release = make(tmp_path)
    (release.directory / "model.onnx").write_bytes(b"other")

    with pytest.raises(GateError, match="ML-REL-121"):
        make(tmp_path, replace(FIRST, champion="tiny-0001"))
