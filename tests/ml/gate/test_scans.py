"""Which scan counts: one row for each way to fall short, and that nothing which falls short ever passes."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.gate.reasons import REASONS, Reason
from ml.gate.scans import ACCEPTABLE, reason_of, subjects_of
from ml.security.subjects import of_release_files

A, B = "a" * 64, "b" * 64
MADE = "2026-01-31T12:00:00Z"
POLICY = {"max_age_hours": 24, "advisories": {"scans": ["dependencies"], "max_age_days": 7}}
SCAN = {
    "tool": "t",
    "version": "1",
    "subject": "requirements.txt",
    "subject_sha256": A,
    "covered": 5,
    "total": 5,
    "database_date": "2026-01-31",
    "scanned_at": MADE,
    "verdict": "pass",
    "reason": "r",
    "findings": [],
}
ENDS: dict[str, tuple[dict[str, Any], Reason]] = {
    "whole, young, ours": ({}, Reason.OK),
    "a day old": ({"scanned_at": "2026-01-30T12:00:00Z"}, Reason.OK),
    "data a week old": ({"database_date": "2026-01-24"}, Reason.OK),
    "a finding": ({"verdict": "fail"}, Reason.SCAN_FAILED),
    "an unknown verdict": ({"verdict": "passed"}, Reason.SCAN_FAILED),
    "no verdict": ({"verdict": None}, Reason.SCAN_MISSING),
    "a list as verdict": ({"verdict": []}, Reason.SCAN_FAILED),
    "another lock file": ({"subject_sha256": B}, Reason.SCAN_OTHER_SUBJECT),
    "no subject": ({"subject_sha256": None}, Reason.SCAN_OTHER_SUBJECT),
    "a day and a second old": ({"scanned_at": "2026-01-30T11:59:59Z"}, Reason.SCAN_STALE),
    "from after the record": ({"scanned_at": "2026-01-31T12:00:01Z"}, Reason.SCAN_STALE),
    "of another year": ({"scanned_at": "2025-01-31T12:00:00Z"}, Reason.SCAN_STALE),
    "without a time": ({"scanned_at": None}, Reason.SCAN_STALE),
    "a time without a zone": ({"scanned_at": "2026-01-31T12:00:00"}, Reason.SCAN_STALE),
    "no time at all": ({"scanned_at": "yesterdayZ"}, Reason.SCAN_STALE),
    "no advisory data": ({"database_date": None}, Reason.SCAN_NO_ADVISORIES),
    "no advisory data, and it says so": (
        {"database_date": None, "verdict": "incomplete", "covered": 0},
        Reason.SCAN_NO_ADVISORIES,
    ),
    "data of no day": ({"database_date": "today"}, Reason.SCAN_NO_ADVISORIES),
    "data eight days old": ({"database_date": "2026-01-23"}, Reason.SCAN_OLD_ADVISORIES),
    "data of tomorrow": ({"database_date": "2026-02-01"}, Reason.SCAN_OLD_ADVISORIES),
    "one package skipped": ({"covered": 4}, Reason.SCAN_SKIPPED),
    "one skipped, and it says so": ({"covered": 4, "verdict": "incomplete"}, Reason.SCAN_SKIPPED),
    "more than there is": ({"covered": 6}, Reason.SCAN_SKIPPED),
    "nothing to look at": ({"covered": 0, "total": 0}, Reason.SCAN_SKIPPED),
    "less than nothing": ({"covered": -1, "total": -1}, Reason.SCAN_SKIPPED),
    "counts that are none": ({"covered": True, "total": True}, Reason.SCAN_SKIPPED),
    "counts as text": ({"covered": "5", "total": "5"}, Reason.SCAN_SKIPPED),
    "whole and yet not sure": ({"verdict": "incomplete"}, Reason.SCAN_INCOMPLETE),
}


def ask(changes: dict[str, Any], must: object = A, created_at: object = MADE, policy: Any = None) -> Reason:
    return reason_of("dependencies", {**SCAN, **changes}, must, created_at, POLICY if policy is None else policy)


@pytest.mark.parametrize(("changes", "reason"), ENDS.values(), ids=ENDS)
def test_every_way_to_fall_short_has_its_own_reason(changes: dict[str, Any], reason: Reason) -> None:
    assert ask(changes) == reason


def test_a_scan_that_is_not_there_or_no_scan() -> None:
    assert reason_of("code", None, A, MADE, POLICY) == Reason.SCAN_MISSING
    assert reason_of("code", "pass", A, MADE, POLICY) == Reason.SCAN_FAILED


def test_only_scans_that_need_advisories_are_asked_for_them() -> None:
    scan = {**SCAN, "database_date": None}

    assert reason_of("code", scan, A, MADE, POLICY) == Reason.OK
    assert reason_of("dependencies", scan, A, MADE, POLICY) == Reason.SCAN_NO_ADVISORIES


@pytest.mark.parametrize("must", [None, B, 7])
def test_a_subject_that_the_record_does_not_name_is_another(must: object) -> None:
    assert ask({}, must=must) == Reason.SCAN_OTHER_SUBJECT


@pytest.mark.parametrize("limit", [None, "24", -1, float("nan"), True, 1e30])
def test_a_limit_that_is_none_allows_nothing(limit: object) -> None:
    assert ask({}, policy={"max_age_hours": limit}) == Reason.SCAN_STALE
    rule = {**POLICY, "advisories": {"scans": ["dependencies"], "max_age_days": limit}}
    assert ask({}, policy=rule) == Reason.SCAN_OLD_ADVISORIES


def test_nobody_can_answer_for_a_finding_another_subject_or_an_old_answer() -> None:
    assert not ACCEPTABLE & {Reason.SCAN_FAILED, Reason.SCAN_OTHER_SUBJECT, Reason.SCAN_STALE, Reason.SCAN_MISSING}
    assert all(reason in REASONS for reason in ACCEPTABLE)


def test_what_a_scan_must_have_looked_at_follows_from_the_record() -> None:
    files = {"model.onnx": A, "serving.json": B}
    found = subjects_of(
        {"lock_sha256": A, "files": files, "subjects": {"code": B, "dependencies": B, "model-files": B}}
    )

    assert (found["dependencies"], found["licences"], found["sbom-project"]) == (A, A, A)
    assert found["model-files"] == of_release_files(files)
    assert found["code"] == B
    assert subjects_of({})["model-files"] is None


SPOILS: list[Callable[[dict[str, Any], Any], object]] = [
    lambda scan, value: scan.update(subject_sha256=value),
    lambda scan, value: scan.update(scanned_at=value),
    lambda scan, value: scan.update(covered=value),
    lambda scan, value: scan.update(total=value),
    lambda scan, value: scan.update(database_date=value),
    lambda scan, value: scan.update(verdict=value),
    lambda scan, value: [scan.pop(key) for key in ("covered", "total")],
]
ANY = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.lists(st.integers(), max_size=2)
)


@given(st.sampled_from(SPOILS), ANY)
def test_a_scan_whose_evidence_is_spoilt_never_passes_and_never_raises(spoil: Any, value: Any) -> None:
    scan = copy.deepcopy(SCAN)
    spoil(scan, value)
    same = scan == SCAN and not any(isinstance(scan.get(key), bool | float) for key in ("covered", "total"))

    assert (reason_of("dependencies", scan, A, MADE, POLICY) == Reason.OK) == same


@given(ANY | st.dictionaries(st.text(max_size=4), ANY, max_size=3), ANY, ANY, ANY)
def test_no_json_makes_it_raise_or_pass(scan: Any, must: Any, created_at: Any, limit: Any) -> None:
    assert reason_of("dependencies", scan, must, created_at, {"max_age_hours": limit, "advisories": limit}) != Reason.OK
    assert isinstance(subjects_of({"files": scan, "subjects": must, "lock_sha256": limit}), dict)


@given(hours=st.integers(-100, 100))
def test_it_is_young_exactly_within_the_limit(hours: int) -> None:
    day, hour = divmod(24 * 20 + 12 - hours, 24)
    scanned = f"2026-01-{day + 1:02d}T{hour:02d}:00:00Z"

    found = ask({"scanned_at": scanned, "database_date": "2026-01-20"}, created_at="2026-01-21T12:00:00Z")
    assert (found == Reason.OK) == (0 <= hours <= 24)
