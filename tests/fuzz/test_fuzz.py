"""Both fuzzers for a moment, with a fixed seed; `make fuzz` gives them their time."""

from pathlib import Path

import pytest

from tests.fuzz.__main__ import by_coverage, by_schema

pytestmark = pytest.mark.integration


def test_the_server_answers_whatever_its_document_allows_and_forbids_as_it_says(tmp_path: Path) -> None:
    found = by_schema(tmp_path, seconds=15, examples=25, seed=1)

    assert found.clean, found.log
    assert found.cases >= 200


def test_no_bytes_bring_the_server_out_of_step(tmp_path: Path) -> None:
    found = by_coverage(tmp_path, seconds=60, runs=4000, seed=1)

    assert found.clean, found.log
    assert found.cases >= 4000


def test_the_fuzzer_would_find_a_defect(tmp_path: Path) -> None:
    found = by_coverage(tmp_path, seconds=60, runs=20_000, seed=1, control=True)

    assert not found.clean
    assert "AssertionError" in found.log
    assert "status=500" in found.log
