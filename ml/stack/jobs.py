"""What the pods of a Job said last. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

_JOB_LABEL = "batch.kubernetes.io/job-name"


def last_words(job: str, pods: Iterable[Mapping[str, Any]]) -> list[tuple[int, str]]:
    """Exit code and message of every container of the Job that ended and left one."""
    mine = [pod for pod in pods if (pod["metadata"].get("labels") or {}).get(_JOB_LABEL) == job]
    ended = [
        (container.get("state") or {}).get("terminated") or {}
        for pod in mine
        for container in (pod.get("status") or {}).get("containerStatuses") or []
    ]
    return [(one.get("exitCode", 1), one["message"]) for one in ended if one.get("message")]
