"""What a slot must answer before it may take traffic: which calls are made, and what is wrong with the answers. Pure.

The expected answers come from the release's own `serving.json`, by way of the repository and not of the image: a pod
that runs something else than what was judged cannot vouch for itself.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

Expected = Literal["golden", "finite", "refused", "unauthenticated"]

PREDICT: Final = "/predict"
TOLERANCE: Final = 1e-5
"""Of a golden probability or number, absolute and relative, as the server itself asks (`ml.serving.model`)."""
SHOWN: Final = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One prediction request, and what it must come to."""

    name: str
    expected: Expected
    body: Mapping[str, Any] | str
    """JSON, or raw text for what JSON cannot say."""
    golden: int | None = None
    """Which golden row it sends, where it sends one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What came back. `status` 0: nothing did, and `body` says why."""

    status: int
    body: Any
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How fast the slot must be, inside the cluster."""

    p99_s: float = 0.25
    repeats: int = 20
    """How often every golden row is sent alone: with six rows p99 rests on 120 calls."""


def calls(serving: Mapping[str, Any], limits: Limits) -> Iterator[Call]:
    """Every call of a smoke test.

    Args:
        serving: The release's `serving.json`.
        limits: How often rows are repeated.
    """
    rows = serving["golden"]["rows"]
    yield Call(name="all golden rows", expected="golden", body={"instances": rows})
    for _ in range(limits.repeats):
        for index, row in enumerate(rows):
            yield Call(name=f"golden row {index}", expected="golden", body={"features": row}, golden=index)
    for name, row in edges(serving["features"], rows[0]):
        yield Call(name=name, expected="finite", body={"features": row})
    yield Call(
        name="a row with NaN", expected="refused", body='{"features": [' + ", ".join(["NaN"] * len(rows[0])) + "]}"
    )
    yield Call(name="a row that is too short", expected="refused", body={"features": rows[0][:-1]})
    yield Call(name="a wrong key", expected="unauthenticated", body={"features": rows[0]})


def edges(features: Sequence[Mapping[str, Any]], row: Sequence[Any]) -> Iterator[tuple[str, list[Any]]]:
    """A golden row with one value at the end of what its feature may be: legal, and rarely in a test set."""
    for index, feature in enumerate(features):
        for word, value in _ends(feature):
            yield f"{feature['name']} {word}", [*row[:index], value, *row[index + 1 :]]


def _ends(feature: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    if feature["kind"] == "category":
        yield "unknown", "\N{SNOWMAN}"
        yield "missing", None
        return
    for word in ("minimum", "maximum"):
        if feature[word] is not None:
            yield f"at its {word}", feature[word]
    if feature["nullable"]:
        yield "missing", None


def flaws(serving: Mapping[str, Any], release: str, made: Sequence[tuple[Call, Reply]], limits: Limits) -> list[str]:
    """Everything that is wrong with the answers, the first of each kind of call; empty when nothing is.

    Args:
        serving: The release's `serving.json`.
        release: The id that every answer must name.
        made: The calls with their replies.
        limits: How fast they must be.
    """
    found: dict[str, str] = {}
    for call, reply in made:
        reason = _flaw(serving, release, call, reply)
        if reason is not None:
            found.setdefault(call.name, f"{call.name}: {reason}")
    listed = [*found.values(), *_slow([reply.seconds for call, reply in made if call.golden is not None], limits)]
    more = len(listed) - SHOWN
    return [*listed[:SHOWN], f"and {more} more"] if more > 0 else listed


def identity_flaws(ready: Reply, metrics: str, record: Mapping[str, Any]) -> list[str]:
    """Whether what answers is what was judged: the record's digest and the model's, as the server itself hashed them.

    Args:
        ready: The answer of `/ready`.
        metrics: The text of `/metrics`.
        record: The release record.
    """
    digest = ready.body.get("digest") if isinstance(ready.body, Mapping) else None
    found = []
    if ready.status != 200 or digest != record["digest"]:
        found.append(f"/ready: status {ready.status}, record digest {digest!r}; must be 200 and {record['digest']!r}")
    wanted = str(record["files"]["model.onnx"])
    if f'model_sha256="{wanted}"' not in metrics:
        found.append(f"/metrics: ml_model_info does not name the model {wanted}")
    return found


_STATUS: Final[Mapping[Expected, tuple[range, str]]] = {
    "unauthenticated": (range(401, 402), "401"),
    "refused": (range(400, 500), "4xx"),
    "golden": (range(200, 201), "200"),
    "finite": (range(200, 201), "200"),
}


def _flaw(serving: Mapping[str, Any], release: str, call: Call, reply: Reply) -> str | None:
    if reply.status == 0:
        return f"no answer: {reply.body}"
    allowed, word = _STATUS[call.expected]
    if reply.status not in allowed:
        return f"answered with status {reply.status}, must be {word}: {str(reply.body)[:200]}"
    if call.expected in ("unauthenticated", "refused"):
        return None
    body = reply.body if isinstance(reply.body, Mapping) else {}
    if body.get("model_version") != release:
        return f"answered by model_version {body.get('model_version')!r}; must be {release!r}"
    return _wrong_answer(serving, call, body)


def _wrong_answer(serving: Mapping[str, Any], call: Call, body: Mapping[str, Any]) -> str | None:
    many = "predictions" in body
    got = body["predictions"] if many else [body.get("prediction")]
    scores = body.get("probabilities") if many else [body.get("probability")]
    unusable = [value for value in [*got, *(scores or [])] if isinstance(value, float) and not math.isfinite(value)]
    if unusable or None in got:
        return f"answered {got!r}, which is not finite"
    if call.expected != "golden":
        return None
    golden = serving["golden"]
    wanted = golden["predictions"] if call.golden is None else [golden["predictions"][call.golden]]
    if not _same(got, wanted, exact=serving["kind"] != "regression"):
        return f"answered {got!r}; the judged model says {wanted!r}"
    return _wrong_score(serving, call, scores or [])


def _wrong_score(serving: Mapping[str, Any], call: Call, scores: Sequence[Any]) -> str | None:
    if serving["kind"] == "regression":
        return None
    golden = serving["golden"]
    rows = range(len(golden["rows"])) if call.golden is None else [call.golden]
    wanted = [golden["probabilities"][row][serving["classes"].index(golden["predictions"][row])] for row in rows]
    return (
        None
        if _same(scores, wanted, exact=False)
        else f"answered probability {scores!r}; the judged model says {wanted!r}"
    )


def _same(got: Sequence[Any], wanted: Sequence[Any], *, exact: bool) -> bool:
    if len(got) != len(wanted):
        return False
    if exact:
        return list(got) == list(wanted)
    return all(
        isinstance(one, int | float) and math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        for one, other in zip(got, wanted, strict=True)
    )


def _slow(seconds: Sequence[float], limits: Limits) -> Iterator[str]:
    if not seconds:
        return
    p99 = sorted(seconds)[math.ceil(0.99 * len(seconds)) - 1]
    if p99 > limits.p99_s:
        limit = f"must be at most {limits.p99_s * 1e3:.0f} ms"
        yield f"99 % of {len(seconds)} single rows took up to {p99 * 1e3:.0f} ms; {limit}"
