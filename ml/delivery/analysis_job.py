"""Watches the release that has just got the traffic, and takes the traffic back by itself when it breaks its promise.

What it does to the cluster is one request (`ml.delivery.traffic`): first the traffic, then the ledger, then the words.
"""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, sleep, time
from typing import Any, Final

import httpx

from infra.names import LIVE_SERVICE, Slot
from ml.delivery import prometheus
from ml.delivery.analysis import Probed, Verdict
from ml.delivery.caller import Caller
from ml.delivery.counts import Reading
from ml.delivery.journal import note
from ml.delivery.promise import CHAMPION_SERVING, Promise
from ml.delivery.scores import Known
from ml.delivery.smoke import Call, Reply
from ml.delivery.traffic import RolledBack, give_back, rolled_back, selected
from ml.delivery.watch import Releases, watch
from ml.errors import GateError, PipelineError
from ml.stack.objects import Objects

PROBERS: Final = 8
NEW_SERVICE_S: Final = 20.0
"""How long the very first live Service may stay unknown to the node; one that has moved is known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """One analysis."""

    stack: str
    slot: Slot
    """Where the candidate is, which has the traffic."""
    back: Slot | None
    """The champion's, warm; None when there is none to go back to."""
    directory: Path
    """Holds the candidate's `record.json` and `serving.json`, and the champion's as `champion-serving.json`."""
    champion: str | None
    """The champion's release."""
    prometheus: str
    promise: Promise


class Real:
    """The world of a Job in the cluster."""

    def __init__(self, task: Task, serving: Mapping[str, Any], caller: Caller) -> None:
        self._task, self._caller = task, caller
        self._rows = serving["golden"]["rows"]
        self._client = httpx.Client(trust_env=False)
        self._began, self._wall, self._sent = monotonic(), time(), 0
        self._pool = ThreadPoolExecutor(PROBERS)

    def candidate(self) -> Reading | None:
        """See `ml.delivery.watch.World`."""
        return prometheus.read(self._client, self._task.prometheus, self._task.slot)

    def champion(self, ago_s: float) -> Reading | None:
        """See `ml.delivery.watch.World`."""
        if self._task.back is None:
            return None
        return prometheus.read(self._client, self._task.prometheus, self._task.back, self._wall - ago_s)

    def probe(self, count: int) -> Probed:
        """See `ml.delivery.watch.World`; one golden row a call, in turn (see `ml.drift.golden`)."""
        rows = [self._rows[(self._sent + index) % len(self._rows)] for index in range(count)]
        self._sent += count
        made = [Call(name="probe", expected="finite", body={"features": row}) for row in rows]
        replies = list(self._pool.map(self._caller.predict, made))
        failed = [reply for reply in replies if reply.status == 0 or reply.status >= 500]
        return Probed(
            sent=count,
            failed=len(failed),
            slow=sum(reply.seconds > self._task.promise.slow_s for reply in replies),
            said=f"status {failed[0].status}, {str(failed[0].body)[:200]}" if failed else "",
        )

    def wait_until(self, seconds: float) -> None:
        """See `ml.delivery.watch.World`."""
        sleep(max(self._began + seconds - monotonic(), 0.0))


def analyse(task: Task, found: Objects, caller: Caller) -> dict[str, Any]:
    """Watch a release and act on the verdict.

    Returns:
        What was seen, for the log, when it kept its promise.

    Raises:
        GateError: `ML-LIVE-004` it did not, and says whether the traffic has been taken back; `ML-LIVE-006` it has no
            traffic any more.
        PipelineError: The traffic could not be taken back.
    """
    record = json.loads((task.directory / "record.json").read_text(encoding="utf-8"))
    serving = json.loads((task.directory / "serving.json").read_text(encoding="utf-8"))
    _require_traffic(task, found, record)
    if task.back is None:
        _say_reached(caller.reach(NEW_SERVICE_S))
    candidate = Known(release=record["release"], serving=serving)
    releases = Releases(candidate=candidate, champion=_champion(task))
    verdict = watch(Real(task, serving, caller), task.promise, _say, releases)
    if verdict.outcome != "pass":
        raise _refusal(task, record, verdict, _act(task, found, record, verdict))
    return {"analysis": "pass", "release": record["release"], "answers": [one.words() for one in verdict.answers]}


def _champion(task: Task) -> Known | None:
    if task.champion is None:
        return None
    text = (task.directory / CHAMPION_SERVING).read_text(encoding="utf-8")
    return Known(release=task.champion, serving=json.loads(text))


def _require_traffic(task: Task, found: Objects, record: Mapping[str, Any]) -> None:
    service = found.one("service", LIVE_SERVICE)
    before = [one for one in rolled_back(service) if one.record_digest == record["digest"]]
    if before:
        message = f"release {record['release']} was rolled back at {before[-1].at}: {before[-1].why}"
        raise GateError("ML-LIVE-004", message, f"mlp rollback --stack {task.stack}")
    if selected(service) != task.slot:
        message = (
            f"service {LIVE_SERVICE} selects slot {selected(service)!r}; the release to be watched is in {task.slot!r}"
        )
        raise GateError("ML-LIVE-006", message, "pulumi up --refresh")


def _act(task: Task, found: Objects, record: Mapping[str, Any], verdict: Verdict) -> str:
    """Take the traffic back; says what was done."""
    if task.back is None:
        return "there is no earlier release to go back to"
    now = datetime.now(tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    why = "; ".join(answer.words() for answer in verdict.deciding)
    bad = RolledBack(release=record["release"], record_digest=record["digest"], at=now, why=why[:500])
    began = monotonic()
    # What is inconclusive may be tried again; what failed may not.
    give_back(found, task.back, bad if verdict.outcome == "fail" else None)
    done = f"slot {task.back} has the traffic again after {monotonic() - began:.2f} s"
    try:
        note(found, task.stack, task.back, now)
    except PipelineError as error:
        return f"{done}; the ledger does not say so yet ({error.code}: {error.message})"
    return done


def _refusal(task: Task, record: Mapping[str, Any], verdict: Verdict, done: str) -> GateError:
    reasons = "".join(f"\n  - {answer.words()}" for answer in verdict.deciding)
    query = prometheus.query(task.slot)
    message = f"release {record['release']}: {verdict.outcome} under traffic; {done}:{reasons}\n  query: {query}"
    return GateError("ML-LIVE-004", message, way_out(task))


def way_out(task: Task) -> str:
    """What a person types once a release has not passed; a stack's first release has nothing to go back to."""
    if task.back is None:
        return f"mlp release stage ID --stack {task.stack} with a better release, then pulumi up"
    return f"mlp rollback --stack {task.stack}, which makes configuration say so too"


def _say_reached(reply: Reply) -> None:
    print(json.dumps({"reached": reply.status != 0, "status": reply.status}), flush=True)


def _say(number: int, verdict: Verdict) -> None:
    print(
        json.dumps({"look": number, "so_far": verdict.outcome, "answers": [a.words() for a in verdict.answers]}),
        flush=True,
    )
