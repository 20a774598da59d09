"""How big a slot is, and how big it must be before it gets the traffic of another one. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from infra.names import RAISED_ANNOTATION

SHOWN: Final = 3
"""Reasons that are shown; pods of one Deployment mostly share theirs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """A slot as the cluster has it."""

    asked: int
    """Pods that its Deployment asks for."""
    ready: int
    least: int
    """Its autoscaler's minimum, and its maximum."""
    most: int


def size_of(deployment: Mapping[str, Any], autoscaler: Mapping[str, Any]) -> Size:
    """The size in a slot's two objects, as the API server writes them."""
    spec = autoscaler["spec"]
    return Size(
        asked=deployment["spec"].get("replicas", 1),
        ready=(deployment.get("status") or {}).get("readyReplicas") or 0,
        least=spec.get("minReplicas", 1),
        most=spec["maxReplicas"],
    )


def needed(live: Size, target: Size) -> int | None:
    """The ready pods that a slot must have before it gets the traffic; None when it has them, and will keep them.

    What counts is what serves now. Pods that the live slot asks for and does not get would not be got here either, and
    a slot whose pods are all broken must not keep the traffic for that. The configured maximum holds here as there.
    """
    wanted = min(live.ready, target.most)
    # What is above its minimum an autoscaler takes away when it likes.
    return None if min(target.least, target.asked, target.ready) >= wanted else wanted


def forbidden(deployment: Mapping[str, Any]) -> str:
    """Why the API server refuses pods of a Deployment, such as a quota; empty when it does not."""
    conditions = (deployment.get("status") or {}).get("conditions") or []
    failed = [one for one in conditions if one.get("type") == "ReplicaFailure" and one.get("status") == "True"]
    return str(failed[0].get("message") or failed[0].get("reason") or "no reason given") if failed else ""


def unplaced(pods: Iterable[Mapping[str, Any]], labels: Mapping[str, str]) -> list[str]:
    """Why no node takes pods that carry the labels: each reason once."""
    found = [
        str(one.get("message") or one.get("reason"))
        for pod in pods
        if labels.items() <= dict((pod.get("metadata") or {}).get("labels") or {}).items()
        for one in (pod.get("status") or {}).get("conditions") or []
        if one.get("type") == "PodScheduled" and one.get("status") == "False"
    ]
    return list(dict.fromkeys(found))[:SHOWN]


def wait_s(autoscaler: Mapping[str, Any], now: datetime, hold_s: float) -> float | None:
    """Seconds until a minimum that was raised for a switch may go back; None when none was.

    Args:
        autoscaler: As the API server writes it.
        now: UTC.
        hold_s: How long after the switch the autoscaler takes to have seen the load.
    """
    marked = ((autoscaler.get("metadata") or {}).get("annotations") or {}).get(RAISED_ANNOTATION)
    if marked is None:
        return None
    try:
        end = datetime.fromisoformat(marked) + timedelta(seconds=hold_s)
        # Whoever wrote it may have had another clock.
        return min(max((end - now).total_seconds(), 0.0), hold_s)
    except (ValueError, TypeError):
        # Somebody edited the mark: it still says that the minimum is not the configured one.
        return 0.0
