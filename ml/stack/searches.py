"""What became of the searches in a stack's cluster, from their Jobs and pods. Reads only."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.names import NAME_LABEL, namespace
from ml.errors import UsageError
from ml.stack.jobs import last_words
from ml.stack.objects import Objects

_PREFIX = "search-"


@dataclass(frozen=True, kw_only=True)
class Search:
    """One search's Job.

    Attributes:
        section: The record's section, once the search is over.
    """

    study: str
    active: int
    succeeded: int
    failed: int
    section: Mapping[str, Any] | None


def searches(found: Objects) -> list[Search]:
    """Every search of the stack that Kubernetes still knows, by name."""
    pods = found.every("pod")
    jobs = [job for job in found.every("job") if job["metadata"]["name"].startswith(_PREFIX) and _is_ours(job)]
    return sorted((_search(job, pods) for job in jobs), key=lambda one: one.study)


def result(found: Objects, stack: str, study: str | None) -> Search:
    """The search of that name, or the only one; over, with its section.

    Raises:
        UsageError: If there is none, it is not over, or a name is needed.
    """
    known = searches(found)
    over = [one for one in known if one.section is not None and study in (None, one.study)]
    if len(over) == 1:
        return over[0]
    states = ", ".join(f"{one.study} ({'over' if one.section else 'not over'})" for one in known) or "none"
    which = "a search" if study is None else f"search {study!r}"
    message = f"stack {stack!r}: {which} whose result can be taken; there are: {states}"
    raise UsageError("ML-TRAIN-023", message, f"kubectl -n {namespace(stack)} get jobs; or name one: --study NAME")


def _is_ours(job: Mapping[str, Any]) -> bool:
    return bool((job["metadata"].get("labels") or {}).get(NAME_LABEL) == "search")


def _search(job: Mapping[str, Any], pods: list[Mapping[str, Any]]) -> Search:
    name, status = job["metadata"]["name"], job.get("status") or {}
    sections = [
        section for code, message in last_words(name, pods) if code == 0 and (section := _section(message)) is not None
    ]
    return Search(
        study=name.removeprefix(_PREFIX),
        active=status.get("active") or 0,
        succeeded=status.get("succeeded") or 0,
        failed=status.get("failed") or 0,
        section=sections[0] if sections else None,
    )


def _section(message: str) -> Mapping[str, Any] | None:
    """What the pod that laid out the trials leaves when it ends well; other pods leave none."""
    try:
        section = json.loads(message)
    except ValueError:
        return None
    return section if isinstance(section, dict) and "best" in section else None
