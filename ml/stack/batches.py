"""What became of the batch runs in a stack's cluster, from their Jobs and pods; and the pod that reaches their volume.

Pure but for the questions to the cluster.
"""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.names import BATCH, NAME_LABEL, namespace, selector
from ml.errors import UsageError
from ml.stack.jobs import last_words
from ml.stack.objects import Objects

_PREFIX = f"{BATCH}-"
_HELD_S = 3600
_HOLD = ["python3", "-c", f"import time; time.sleep({_HELD_S})"]


@dataclass(frozen=True, kw_only=True)
class BatchRun:
    """One run's Job.

    Attributes:
        summary: Rows, predicted and dead, once the run is complete.
        refused: Why the Job gave up; empty while it has not.
    """

    name: str
    shards: int
    done: int
    active: int
    failed: int
    summary: Mapping[str, Any] | None
    refused: str
    input: str
    output: str
    job: Mapping[str, Any]


def runs(found: Objects) -> list[BatchRun]:
    """Every batch run of the stack that Kubernetes still knows, by name."""
    pods = found.every("pod")
    jobs = [job for job in found.every("job") if job["metadata"]["name"].startswith(_PREFIX) and _is_ours(job)]
    return sorted((_run(job, pods) for job in jobs), key=lambda one: one.name)


def run_of(found: Objects, stack: str, name: str | None) -> BatchRun:
    """The run of that name, or the only one.

    Raises:
        UsageError: `ML-BATCH-013` there is none, or a name is needed.
    """
    known = runs(found)
    wanted = [one for one in known if name in (None, one.name)]
    if len(wanted) == 1:
        return wanted[0]
    names = ", ".join(one.name for one in known) or "none"
    which = "one run, but" if name is None else f"a run {name!r};"
    message = f"stack {stack!r}: must have {which} there are: {names}"
    raise UsageError("ML-BATCH-013", message, f"--run NAME, or ask for one: docs/batch.md ({namespace(stack)})")


def reaching_pod(run: BatchRun, name: str) -> dict[str, Any]:
    """A pod that holds the run's volume and does nothing: as restricted as the run's own, and gone within the hour."""
    template = copy.deepcopy(run.job["spec"]["template"]["spec"])
    (container,) = template["containers"]
    kept = ("volume", "tmp")
    spec = {key: value for key, value in template.items() if key != "initContainers"}
    container |= {"command": _HOLD, "args": []}
    container["volumeMounts"] = [one for one in container["volumeMounts"] if one["name"] in kept]
    spec |= {
        "volumes": [one for one in template["volumes"] if one["name"] in kept],
        "activeDeadlineSeconds": _HELD_S,
        "terminationGracePeriodSeconds": 1,
    }
    metadata = {"name": name, "labels": selector(BATCH)}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _is_ours(job: Mapping[str, Any]) -> bool:
    return bool((job["metadata"].get("labels") or {}).get(NAME_LABEL) == BATCH)


def _run(job: Mapping[str, Any], pods: list[Mapping[str, Any]]) -> BatchRun:
    name, status = job["metadata"]["name"], job.get("status") or {}
    said = last_words(name, pods)
    return BatchRun(
        name=name.removeprefix(_PREFIX),
        shards=job["spec"]["completions"],
        done=status.get("succeeded") or 0,
        active=status.get("active") or 0,
        failed=status.get("failed") or 0,
        summary=next((summary for code, text in said if code == 0 and (summary := _summary(text))), None),
        refused=_refused(status, said),
        input=_argument(job, "--input="),
        output=_argument(job, "--output="),
        job=job,
    )


def _summary(message: str) -> Mapping[str, Any] | None:
    try:
        found = json.loads(message)
    except ValueError:
        return None
    return found if isinstance(found, dict) and {"rows", "predicted", "dead"} <= set(found) else None


def _refused(status: Mapping[str, Any], said: list[tuple[int, str]]) -> str:
    """The Job's reason, and what the pod said that made it give up."""
    for condition in status.get("conditions") or []:
        if condition.get("type") == "Failed" and condition.get("status") == "True":
            words = [text.strip() for code, text in said if code != 0]
            return "\n".join([f"{condition.get('reason')}: {condition.get('message')}", *words[-1:]])
    return ""


def _argument(job: Mapping[str, Any], name: str) -> str:
    (container,) = job["spec"]["template"]["spec"]["containers"]
    return next((str(word).removeprefix(name) for word in container["args"] if word.startswith(name)), "")
