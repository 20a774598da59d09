"""Facts for the preview's tests: event logs of the real CLI (trimmed), and a record whose gate was really run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ml.preview.events import plan_from
from ml.preview.evidence import evidence_from, with_desired
from ml.preview.facts import Preview
from ml.release.example import example_bytes
from ml.release.proof import problems
from ml.stack.slots import Held, State

DATA = Path(__file__).parent / "data"
GOLDEN = Path(__file__).parent / "golden"
MOVES_TO_GREEN = State(
    slots={"blue": Held(release="flights-0001"), "green": Held(release="flights-0002")}, live="green"
)


def log(name: str) -> str:
    return (DATA / f"{name}.events.jsonl").read_text()


def record(change: Callable[[dict[str, Any]], None] | None = None) -> bytes:
    def named(fields: dict[str, Any]) -> None:
        fields["release"] = "flights-0002"
        fields["champion"]["release"] = "flights-0001"
        if change is not None:
            change(fields)

    return example_bytes(named)


def preview(name: str, *, exit_code: int, raw: bytes | None = None) -> Preview:
    raw = record() if raw is None else raw
    evidence = evidence_from("flights-0002", raw, [str(problem) for problem in problems(raw)])
    plan = with_desired(plan_from(log(name)), MOVES_TO_GREEN)
    return Preview(stack="staging", exit_code=exit_code, plan=plan, candidate=evidence)
