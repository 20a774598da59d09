"""The comment as a reviewer sees it. `MLP_WRITE_GOLDEN=1` writes the golden files anew; then read the diff."""

import os
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.preview.facts import Change, Evidence, Finding, GateCheck, Note, Plan, Preview, Row, Slot
from ml.preview.render import MAX_CHARACTERS, blockers, marker, render
from tests.ml.preview.facts import GOLDEN, preview, record


def _worse(fields: dict[str, Any]) -> None:
    fields["metrics"]["accuracy"] = 0.5


def _edited() -> bytes:
    return record().replace(b'"accuracy": 0.81', b'"accuracy": 0.91', 1)


CASES = {
    "passes": preview("moves", exit_code=0),
    "policy-refuses": preview("refused", exit_code=1),
    "program-refuses": preview("raised", exit_code=1, raw=record(_worse)),
    "record-edited": preview("moves", exit_code=0, raw=_edited()),
}


@pytest.mark.parametrize("case", CASES)
def test_the_comment_is_the_golden_one(case: str) -> None:
    path = GOLDEN / f"{case}.md"
    text = render(CASES[case])
    if os.environ.get("MLP_WRITE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    assert text == path.read_text()


@pytest.mark.parametrize(("case", "mark"), [("passes", "✅"), *((case, "❌") for case in CASES if case != "passes")])
def test_the_verdict_is_the_first_line_a_person_reads(case: str, mark: str) -> None:
    first, _, heading = render(CASES[case]).splitlines()[:3]

    assert first == marker("staging")
    assert heading.startswith(f"## {mark} staging")


def test_an_edited_record_blocks_although_pulumi_is_content() -> None:
    assert any("ML-REL-103" in reason for reason in blockers(CASES["record-edited"]))


def test_a_failing_exit_code_without_any_reason_still_blocks() -> None:
    assert blockers(Preview(stack="staging", exit_code=255, plan=Plan(packs=("ml-pipeline 1",))))


def test_a_preview_without_a_policy_pack_blocks() -> None:
    assert "no policy pack ran" in blockers(Preview(stack="staging", exit_code=0, plan=Plan()))[0]


def test_a_metric_that_got_worse_shows_its_sign() -> None:
    text = render(CASES["program-refuses"])

    assert "| accuracy | 0.5000 | 0.8000 | -0.3000 |" in text


def test_the_champion_of_another_day_is_said_to_be_one() -> None:
    def other(fields: dict[str, Any]) -> None:
        fields["champion"]["release"] = "flights-0009"

    assert "is of another day" in render(preview("moves", exit_code=0, raw=record(other)))
    assert "is of another day" not in render(CASES["passes"])


_hostile = st.text(alphabet=st.sampled_from("|`@#<>\\\n*_[]!&$~ \u200b\x00a1/:.-")) | st.text(max_size=30)
_maybe = st.none() | _hostile
_metric = st.none() | st.floats(allow_nan=False, allow_infinity=False)
_change = st.builds(
    Change,
    operation=st.sampled_from(["create", "update", "replace", "delete", "other"]),
    kind=_hostile,
    name=_hostile,
    impact=st.sampled_from(["traffic", "data", "release", "none"]),
    notes=st.lists(st.builds(Note, field=_hostile, before=_maybe, after=_maybe), max_size=3).map(tuple),
    paths=st.lists(_hostile, max_size=3).map(tuple),
)
_finding = st.builds(
    Finding,
    policy=_hostile,
    level=st.sampled_from(["mandatory", "advisory", "unchecked"]),
    resource=_hostile,
    message=_hostile,
)
_plan = st.builds(
    Plan,
    changes=st.lists(_change, max_size=4).map(tuple),
    unchanged=st.integers(0, 10**6),
    findings=st.lists(_finding, max_size=4).map(tuple),
    packs=st.lists(_hostile, max_size=2).map(tuple),
    errors=st.lists(_hostile, max_size=3).map(tuple),
    slots=st.tuples(st.builds(Slot, name=_hostile, before=_maybe, after=_maybe)),
    state_read=st.booleans(),
    live_before=_maybe,
    live_after=_maybe,
)
_gate_check = st.builds(
    GateCheck, rule=_hostile, name=_hostile, value=_hostile, limit=_hostile, outcome=_hostile, reason=_hostile
)
_evidence = st.builds(
    Evidence,
    release=_hostile,
    problems=st.lists(_hostile, max_size=3).map(tuple),
    verdict=_hostile,
    facts=st.lists(st.tuples(_hostile, _hostile), max_size=3).map(tuple),
    champion=_maybe,
    metrics=st.lists(
        st.builds(Row, metric=_hostile, candidate=_metric, champion=_metric, limits=st.tuples(_hostile)), max_size=3
    ).map(tuple),
    checks=st.lists(_gate_check, max_size=3).map(tuple),
    drift=st.lists(st.tuples(*[_hostile] * 5), max_size=3).map(tuple),
    scans=st.lists(st.tuples(*[_hostile] * 6), max_size=3).map(tuple),
)
_previews = st.builds(
    Preview, stack=_hostile, exit_code=st.integers(0, 255), plan=_plan, candidate=st.none() | _evidence
)
_CODE_SPAN = re.compile(r"(?<![`\\])(`+)(?!`)(.+?)(?<!`)\1(?!`)")


def _outside_fences(text: str) -> list[str]:
    """The lines that Markdown interprets, without the fenced block."""
    lines: list[str] = []
    fence = ""
    for line in text.splitlines():
        opening = re.match(r"(`{3,})text$", line)
        if not fence and opening:
            fence = opening[1]
        elif fence and line == fence:
            fence = ""
        elif not fence:
            lines.append(line)
    assert not fence, "a fenced block is not closed"
    return lines


@settings(max_examples=60, deadline=None)
@given(_previews)
def test_no_value_breaks_the_page(facts: Preview) -> None:
    lines = _outside_fences(render(facts))
    text = "\n".join(lines)
    prose = "\n".join(_CODE_SPAN.sub("", line) for line in lines)

    assert text.count("<details>") == text.count("</details>")
    assert not re.search(r"(?<!\\)@\w", prose), "a value mentions somebody"
    assert not re.search(r"(?<!\\)<(?!/?(details|summary)>|br>|!-- ml-pipeline:preview:)", prose), "a value opens HTML"


@settings(max_examples=60, deadline=None)
@given(_previews)
def test_every_row_of_a_table_has_as_many_cells_as_its_head(facts: Preview) -> None:
    width = 0
    for line in _outside_fences(render(facts)):
        cells = len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) if line.startswith("| ") else 0
        assert cells in (0, width) or width == 0, line
        width = cells


@pytest.mark.parametrize("count", [1, 300, 700])
def test_the_comment_fits_whatever_the_size_of_the_change(count: int) -> None:
    long = "x" * 5000
    change = Change(operation="update", kind="Deployment", name=long, impact="release", paths=(long,) * 20)
    finding = Finding(policy=long, level="mandatory", resource=long, message=long)
    plan = Plan(changes=(change,) * count, findings=(finding,) * count, errors=(long,) * count, packs=(long,))
    check = GateCheck(rule=long, name=long, value=long, limit=long, outcome=long, reason=long)
    evidence = Evidence(release=long, problems=(long,) * count, metrics=(), checks=(check,) * count)

    text = render(Preview(stack=long, exit_code=1, plan=plan, candidate=evidence))

    assert len(text) <= MAX_CHARACTERS
    assert text.count("<details>") == text.count("</details>")
    assert ("too long for a comment" in text) == (count > 1)
