"""From the engine's event log to a plan. Pure; reads text, touches no file.

The event log is the CLI's own machine-readable record of an operation (its Automation API reads the same file). Unlike
`pulumi preview --json` it holds the policy findings. Values of resources are dropped here except for a short list of
fields, none of which can hold a secret.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from infra.names import LIVE_SERVICE, RECORD_DIGEST_ANNOTATION, RELEASE_LABEL, SLOT_LABEL, SLOTS, slot_name
from infra.names import Slot as SlotName
from ml.preview.facts import Change, Finding, Impact, Level, Note, Operation, Plan, Slot

UNKNOWN_UNTIL_APPLIED: Final = "known while applying"
# The engine's marks for "an output that does not exist yet", one per type (sdk/go/common/resource/plugin/rpc.go).
_UNKNOWN_MARKS: Final = frozenset({"04da6b54-80e4-46f7-96ec-b56ff0331ba9"})
_OPERATIONS: Final[Mapping[str, Operation]] = {
    "create": "create",
    "update": "update",
    "delete": "delete",
    "replace": "replace",
    "create-replacement": "replace",
    "delete-replaced": "replace",
}
_SILENT: Final = frozenset({"same", "read", "refresh"})
# Deleting or replacing one of these loses data that no later `up` brings back.
_HOLDS_DATA: Final = frozenset({"Namespace", "PersistentVolumeClaim", "StatefulSet", "Secret"})
_UNCHECKED: Final = "can't run policy"


def plan_from(log: str) -> Plan:
    """The plan in an event log; an unreadable line is an error of the plan, never an exception."""
    events, errors = _events(log)
    steps = _steps(events)
    changed = [step for step in steps if step["op"] not in _SILENT and _counts(step)]
    errors += [_line(event) for event in _of(events, "diagnosticEvent") if event.get("severity") == "error"]
    live = next((step for step in steps if _is_live_service(step)), {})
    return Plan(
        changes=_grouped(changed),
        unchanged=sum(1 for step in steps if step["op"] == "same" and _counts(step)),
        findings=tuple(dict.fromkeys(_finding(event) for event in _of(events, "policyEvent"))),
        packs=tuple(sorted({pack for event in _of(events, "summaryEvent") for pack in _packs(event)})),
        errors=tuple(dict.fromkeys(error for error in errors if error)),
        slots=tuple(_slot(name, steps) for name in SLOTS),
        state_read=any(_counts(step) for step in steps),
        live_before=_text(_at(live, "old", "inputs", "spec", "selector", SLOT_LABEL)),
        live_after=_text(_at(live, "new", "inputs", "spec", "selector", SLOT_LABEL)),
    )


def _events(log: str) -> tuple[list[Mapping[str, Any]], list[str]]:
    found: list[Mapping[str, Any]] = []
    errors: list[str] = []
    for number, line in enumerate(log.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            errors.append(f"line {number} of the event log is not JSON; the preview may be incomplete")
            continue
        if isinstance(event, dict):
            found.append(event)
    return found, errors


def _of(events: Sequence[Mapping[str, Any]], name: str) -> Iterator[Mapping[str, Any]]:
    for event in events:
        if isinstance(event.get(name), dict):
            yield event[name]


def _steps(events: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """One step per resource: the last that says what happens to it."""
    found: dict[str, Mapping[str, Any]] = {}
    for event in _of(events, "resourcePreEvent"):
        step = event.get("metadata")
        if isinstance(step, dict) and isinstance(step.get("op"), str) and isinstance(step.get("urn"), str):
            known = found.get(step["urn"])
            if known is None or step["op"] == "replace" or _OPERATIONS.get(known["op"]) != "replace":
                found[step["urn"]] = step
    return list(found.values())


def _counts(step: Mapping[str, Any]) -> bool:
    """Real resources only: neither the stack itself nor components and providers, which exist in the state alone."""
    custom = _at(step, "new", "custom") is True or _at(step, "old", "custom") is True
    return custom and not str(step.get("type", "")).startswith("pulumi:")


def _grouped(steps: Sequence[Mapping[str, Any]]) -> tuple[Change, ...]:
    """Sorted: what moves traffic or loses data first, then by operation, kind and name."""
    weight: Mapping[Impact, int] = {"traffic": 0, "data": 1, "release": 2, "none": 3}
    changes = [_change(step) for step in steps]
    return tuple(sorted(changes, key=lambda each: (weight[each.impact], each.operation, each.kind, each.name)))


def _change(step: Mapping[str, Any]) -> Change:
    operation = _OPERATIONS.get(step["op"], "other")
    notes = tuple(_notes(step))
    paths = _at(step, "detailedDiff")
    return Change(
        operation=operation,
        kind=_kind(step),
        name=step["urn"].rpartition("::")[2],
        impact=_impact(step, operation, notes),
        notes=notes,
        paths=tuple(sorted(map(str, paths))) if isinstance(paths, dict) else (),
    )


def _kind(step: Mapping[str, Any]) -> str:
    return str(step.get("type", "")).rpartition(":")[2]


def _impact(step: Mapping[str, Any], operation: Operation, notes: Sequence[Note]) -> Impact:
    if _is_live_service(step):
        return "traffic"
    if operation in ("delete", "replace") and _kind(step) in _HOLDS_DATA:
        return "data"
    return "release" if notes and _kind(step) in ("Deployment", "Image") else "none"


def _is_live_service(step: Mapping[str, Any]) -> bool:
    return step.get("type") == "kubernetes:core/v1:Service" and (
        _at(step, "new", "inputs", "metadata", "name") == LIVE_SERVICE
        or _at(step, "old", "inputs", "metadata", "name") == LIVE_SERVICE
    )


def _notes(step: Mapping[str, Any]) -> Iterator[Note]:
    before, after = _allowed(_at(step, "old", "inputs")), _allowed(_at(step, "new", "inputs"))
    for field in sorted({*before, *after}):
        if before.get(field) != after.get(field):
            yield Note(field=field, before=before.get(field), after=after.get(field))


def _allowed(inputs: Any) -> dict[str, str]:
    """The only values of a resource that may leave this module; all are names, numbers or digests."""
    if not isinstance(inputs, dict):
        return {}
    candidates = {
        "slot": _at(inputs, "spec", "selector", SLOT_LABEL) if inputs.get("kind") == "Service" else None,
        "release": _at(inputs, "metadata", "labels", RELEASE_LABEL),
        "record digest": _at(inputs, "metadata", "annotations", RECORD_DIGEST_ANNOTATION),
        "replicas": _at(inputs, "spec", "replicas"),
        "schedule": _at(inputs, "spec", "schedule"),
        "storage": _at(inputs, "spec", "resources", "requests", "storage"),
        **_images(inputs),
    }
    return {field: text for field, value in candidates.items() if (text := _text(value)) is not None}


def _images(inputs: Mapping[str, Any]) -> dict[str, Any]:
    pods = (("spec", "template", "spec"), ("spec", "jobTemplate", "spec", "template", "spec"))
    found: dict[str, Any] = {}
    for path in pods:
        containers = _at(inputs, *path, "containers")
        for container in containers if isinstance(containers, list) else ():
            found[f"image of {_at(container, 'name')}"] = _at(container, "image")
    return found


def _slot(name: SlotName, steps: Sequence[Mapping[str, Any]]) -> Slot:
    wanted = slot_name(name)
    release: dict[str, str | None] = {"old": None, "new": None}
    for step in steps:
        if step.get("type") != "kubernetes:apps/v1:Deployment":
            continue
        for side in release:
            metadata = _at(step, side, "inputs", "metadata")
            if _at(metadata, "name") == wanted:
                release[side] = _text(_at(metadata, "labels", RELEASE_LABEL))
    return Slot(name=name, before=release["old"], after=release["new"])


def _finding(event: Mapping[str, Any]) -> Finding:
    message = str(event.get("message", "")).strip()
    level: Level = "mandatory" if event.get("enforcementLevel") == "mandatory" else "advisory"
    return Finding(
        policy=str(event.get("policyName", "")),
        level="unchecked" if _UNCHECKED in message and level == "advisory" else level,
        resource=str(event.get("resourceUrn", "")).rpartition("::")[2],
        message=message,
    )


def _packs(event: Mapping[str, Any]) -> Iterator[str]:
    """Names of the packs that ran; the engine writes `name|local|path` for a pack in a folder."""
    packs = event.get("PolicyPacks")
    for name, version in packs.items() if isinstance(packs, dict) else ():
        yield f"{str(name).partition('|')[0]} {version}".strip()


def _line(event: Mapping[str, Any]) -> str:
    """A diagnostic in one piece; the CLI's closing "preview failed" says nothing that the exit code does not."""
    message = str(event.get("message", "")).strip().removeprefix("an unhandled error occurred: ")
    return "" if message == "preview failed" else message


def _text(value: Any) -> str | None:
    """Scalars only: a mapping or a list has no business in a comment."""
    if isinstance(value, str):
        return UNKNOWN_UNTIL_APPLIED if value in _UNKNOWN_MARKS else value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _at(value: Any, *path: str) -> Any:
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value
