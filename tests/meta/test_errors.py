"""Every error code is documented once, with what to do; a code has one owner."""

import re
from collections import defaultdict
from functools import cache
from pathlib import Path

from tests.meta.tree import PACKAGES, python, source, text

AREAS = (
    "BATCH",
    "CLUSTER",
    "CONF",
    "DATA",
    "DRIFT",
    "EVAL",
    "GATE",
    "HOST",
    "LIVE",
    "REL",
    "SCAN",
    "SECRET",
    "SERVE",
    "SMOKE",
    "TOOL",
    "TRACK",
    "TRAIN",
)
_CODE = re.compile(rf"\bML-(?:{'|'.join(AREAS)})-\d{{3}}\b")
_ANY_CODE = re.compile(r"\bML-[A-Z]+-\d+\b")
_ROW = re.compile(r"^\| `(ML-[A-Z]+-\d{3})` \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)


@cache
def _raised() -> dict[str, set[str]]:
    """Code → the files whose strings hold it."""
    found: dict[str, set[str]] = defaultdict(set)
    for name in python(*PACKAGES):
        for _, value in source(name).strings:
            for code in _ANY_CODE.findall(value):
                found[code].add(name)
    return dict(found)


def _documented() -> list[tuple[str, str, str]]:
    return _ROW.findall(text("docs/errors.md"))


def test_every_code_is_documented_exactly_once() -> None:
    documented = [code for code, _, _ in _documented()]

    assert sorted(set(_raised()) - set(documented)) == [], "add a row to docs/errors.md"
    assert sorted(set(documented) - set(_raised())) == [], "no code raises these"
    assert sorted(code for code in set(documented) if documented.count(code) > 1) == []


def test_every_code_has_a_known_area() -> None:
    assert [code for code in _raised() if not _CODE.fullmatch(code)] == []


def test_every_row_says_what_it_means_and_what_to_do() -> None:
    assert [code for code, meaning, action in _documented() if len(meaning) < 10 or len(action) < 10] == []


def test_no_two_codes_mean_the_same() -> None:
    meanings = [meaning for _, meaning, _ in _documented()]

    assert sorted(meaning for meaning in set(meanings) if meanings.count(meaning) > 1) == []


def _part(name: str) -> str:
    return "/".join(Path(name).parent.parts[:2])


def test_a_code_belongs_to_one_part() -> None:
    """Two parts that raise one code drift apart in what they mean by it."""
    parts = {code: {_part(name) for name in names} for code, names in _raised().items()}

    assert {code: sorted(owners) for code, owners in sorted(parts.items()) if len(owners) > 1} == {}
