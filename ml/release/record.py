"""The release record: its canonical bytes, its seal, and whether it is still as it was sealed.

Pure, standard library only, because the model server, which has few packages, asks `unsealed` at start. Whoever decides
about traffic asks `ml.release.proof` instead, which also runs the gate again. Nothing here raises on a record that
somebody edited; whatever is wrong is returned, all of it in one go.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ml.errors import GateError
from ml.gate.metrics import flaw

RELEASE_ID = re.compile(r"[a-z][a-z0-9-]*-[0-9]{4}")
FILE_NAME = re.compile(r"[a-z][a-z0-9-]*\.(json|onnx)")  # of a file that a record names; never a path
MAX_BYTES = 200 * 1024  # a record is some 20 KiB; Kubernetes takes 256 KiB of annotations in all


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One reason why a record must not be trusted; `code` is documented in `docs/errors.md`."""

    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


def canonical_bytes(record: Mapping[str, Any]) -> bytes:
    """The one byte form of a record.

    Raises:
        ValueError: If a number is NaN or infinite, or a string cannot be written as UTF-8.
    """
    text = json.dumps(record, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode()


def digest_of(record: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical bytes of the record without its `digest`, in hex."""
    return hashlib.sha256(canonical_bytes({k: v for k, v in record.items() if k != "digest"})).hexdigest()


def seal(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields with their `digest`; what `canonical_bytes` then writes is a record."""
    return {**fields, "digest": digest_of(fields)}


def parse(raw: bytes) -> Mapping[str, Any]:
    """The record in the bytes, which must be JSON; says nothing about whether it verifies.

    Raises:
        GateError: If the bytes are not one JSON object with finite numbers.
    """
    record, problem = read(raw)
    if problem is not None:
        raise GateError(problem.code, problem.message, "restore the record from version control")
    return record


def unsealed(raw: bytes) -> list[Problem]:
    """Why a record must not be trusted, as far as it tells itself: another byte, or a verdict that is not pass.

    Whether the verdict follows from the numbers is asked by `ml.release.proof.problems`, which includes these.
    """
    record, problem = read(raw)
    if problem is not None:
        return [problem]
    return [*_seal_problems(raw, record), *_verdict_problems(record), *_metric_problems(record)]


def short(value: object, limit: int = 80) -> str:
    """The value for a message. Never a container's content: it may nest deeper than `repr` can follow."""
    if isinstance(value, dict | list):
        return f"<{'object' if isinstance(value, dict) else 'list'} of {len(value)}>"
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}…"


def read(raw: bytes) -> tuple[Mapping[str, Any], Problem | None]:
    """The record in the bytes, or the one problem because of which there is none."""
    if len(raw) > MAX_BYTES:
        return {}, Problem(code="ML-REL-101", message=f"the record has {len(raw)} bytes; at most {MAX_BYTES} are read")
    try:
        record = json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        return {}, Problem(code="ML-REL-101", message=f"the record is not JSON: {error}")
    if not isinstance(record, dict):
        return {}, Problem(code="ML-REL-101", message=f"the record is a JSON {type(record).__name__}, not an object")
    return record, None


def _refuse_constant(literal: str) -> float:
    raise ValueError(f"the number {literal} is not JSON")


def _seal_problems(raw: bytes, record: Mapping[str, Any]) -> Iterator[Problem]:
    try:
        canonical, digest = canonical_bytes(record), digest_of(record)
    except (ValueError, RecursionError) as error:  # 1e999 reads as infinity; a lone surrogate cannot be written
        yield Problem(code="ML-REL-102", message=f"the record has no canonical form: {error}")
        return
    if canonical != raw:
        yield Problem(code="ML-REL-102", message=f"the bytes are not in canonical form from byte {_at(canonical, raw)}")
    if record.get("digest") != digest:
        message = f"digest={short(record.get('digest'))}, but the record's content has {digest!r}: it was changed"
        yield Problem(code="ML-REL-103", message=message)


def _at(left: bytes, right: bytes) -> int:
    pairs = enumerate(zip(left, right, strict=False))
    return next((index for index, (a, b) in pairs if a != b), min(len(left), len(right)))


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _verdict_problems(record: Mapping[str, Any]) -> Iterator[Problem]:
    gate = _mapping(record.get("gate"))
    verdict, checks = gate.get("verdict"), gate.get("checks")
    if verdict != "pass":
        yield Problem(
            code="ML-REL-110", message=f"gate.verdict={short(verdict)}: only a release that passed may be used"
        )
    if not isinstance(checks, list) or not checks:
        yield Problem(code="ML-REL-111", message="gate.checks is empty: a verdict without a check proves nothing")
        return
    for check in map(_mapping, checks):
        if check.get("outcome") != "pass":
            detail = f"{short(check.get('value'))} against {short(check.get('limit'))}: {short(check.get('reason'))}"
            name = f"check {short(check.get('rule'))} of {short(check.get('name'))}"
            yield Problem(code="ML-REL-112", message=f"{name} is {short(check.get('outcome'))}: {detail}")
    covered = [check.get("name") for check in map(_mapping, checks) if check.get("rule") == "floor"]
    floors = _mapping(_mapping(gate.get("policy")).get("floors"))
    for name in sorted(name for name in floors if name not in covered):
        yield Problem(code="ML-REL-113", message=f"metric {name} has a floor and no check against it")


def _metric_problems(record: Mapping[str, Any]) -> Iterator[Problem]:
    for owner, source in (("metrics", record), ("champion.metrics", _mapping(record.get("champion")))):
        metrics = _mapping(source.get("metrics"))
        floors = _mapping(_mapping(_mapping(record.get("gate")).get("policy")).get("floors"))
        expected = set(metrics) | (set(floors) if owner == "metrics" or metrics else set())
        for name in sorted(expected):
            if (reason := flaw(name, metrics)) is not None:
                code = "ML-REL-114"
                yield Problem(code=code, message=f"{owner}.{name}={short(metrics.get(name))}: {reason}")
