"""The signature of a release: a DSSE envelope with an in-toto statement about the record and every file it names.

Pure: bytes and keys in, problems out; never raises on an envelope that somebody made up. Called by `ml.release.store`,
by `ml.release.create` and by the policy pack, which has the envelope as an annotation.

Source: DSSE v1 (secure-systems-lab/dsse), in-toto attestation framework, Statement v1.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from ml.release.fields import envelope_flaws
from ml.release.keys import Trusted, TrustedKey
from ml.release.record import Problem, canonical_bytes, read, short

if TYPE_CHECKING:
    from securesystemslib.signer import Signer

SIGNATURE: Final = "record.dsse.json"
PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
PREDICATE_TYPE: Final = "https://ml-pipeline.invalid/release-record/v1"
OF_A_SIGNATURE: Final = frozenset(
    {
        "ML-REL-130",
        "ML-REL-131",
        "ML-REL-132",
        "ML-REL-133",
        "ML-REL-134",
        "ML-REL-135",
        "ML-REL-136",
        "ML-REL-137",
        "ML-REL-139",
    }
)
"""What is wrong with the signature alone; the record may be whole."""
MAX_BYTES: Final = 32 * 1024  # an envelope is some 2 KiB; record and envelope share Kubernetes' 256 KiB of annotations


def sign(raw: bytes, signer: "Signer") -> bytes:
    """The envelope for a record that `ml.release.proof` finds whole, in its one byte form."""
    from securesystemslib.dsse import Envelope  # noqa: PLC0415  (a tenth of a second, only where something is signed)

    record, _ = read(raw)
    envelope = Envelope(canonical_bytes(_statement(raw, record)), PAYLOAD_TYPE, {})
    envelope.sign(signer)
    return canonical_bytes(envelope.to_dict())


def problems(envelope: bytes | None, raw: bytes, trust: Trusted) -> list[Problem]:
    """Why the envelope does not prove that the record is a release by somebody trusted; empty when it does.

    Args:
        envelope: The bytes of the signature file; None where there is none.
        raw: The bytes of the record. What is wrong with the record itself is not looked for here.
        trust: The committed keys.
    """
    if envelope is None:
        message = "the release is not signed: anybody could have made it"
        return [*trust.problems, Problem(code="ML-REL-130", message=message)]
    content, reason = _parsed(envelope)
    if content is None:
        return [*trust.problems, Problem(code="ML-REL-131", message=f"the signature is no envelope of ours: {reason}")]
    found = list(trust.problems)
    keyid = content["signatures"][0]["keyid"]
    key = trust.keys.get(keyid)
    if key is None:
        return [*found, Problem(code="ML-REL-132", message=f"the release is signed by key {keyid}: nobody trusts it")]
    if not _verifies(content, key):
        message = f"the signature is not the one of key {keyid} ({key.owner}) over this statement"
        return [*found, Problem(code="ML-REL-133", message=message)]
    record, unreadable = read(raw)
    if unreadable is not None:
        message = "the signature is about another record: this one cannot be read"
        return [*found, *_key_problems(key, record), Problem(code="ML-REL-136", message=message)]
    return [*found, *_key_problems(key, record), *_statement_problems(content, raw, record)]


def keyid_of(envelope: bytes) -> str | None:
    """Who says to have signed; None when it is no envelope of ours."""
    content, _ = _parsed(envelope)
    return None if content is None else str(content["signatures"][0]["keyid"])


def _parsed(envelope: bytes) -> tuple[dict[str, Any] | None, str]:
    """The envelope's JSON when it is the one byte form of an envelope: another form could hide what was changed."""
    if len(envelope) > MAX_BYTES:
        return None, f"it has {len(envelope)} bytes; at most {MAX_BYTES} are read"
    content, problem = read(envelope)
    if problem is not None:
        return None, problem.message.replace("the record", "it")
    if flaws := envelope_flaws(content):
        return None, "; ".join(flaw.message for flaw in flaws)
    try:
        again = canonical_bytes(_envelope(content).to_dict())
    except _MALFORMED as error:
        return None, f"it cannot be decoded: {short(str(error))}"
    return (dict(content), "") if again == envelope else (None, "its bytes are not in canonical form")


def _envelope(content: Mapping[str, Any]) -> Any:
    from securesystemslib.dsse import Envelope  # noqa: PLC0415

    return Envelope.from_dict({**content, "signatures": [dict(item) for item in content["signatures"]]})


# What decoding raises: base64 and UTF-8 are ValueErrors, a lone surrogate as well.
_MALFORMED = (ValueError, TypeError, KeyError)


def _verifies(content: Mapping[str, Any], key: TrustedKey) -> bool:
    from securesystemslib.exceptions import VerificationError  # noqa: PLC0415

    try:
        _envelope(content).verify([key.key], 1)
    except (VerificationError, *_MALFORMED):
        return False
    return True


def _key_problems(key: TrustedKey, record: Mapping[str, Any]) -> Iterator[Problem]:
    who = f"key {key.keyid} ({key.owner})"
    if key.revoked_at is not None:
        message = f"{who} was revoked at {key.revoked_at} ({key.revoked_because}): nothing it signed counts any more"
        yield Problem(code="ML-REL-134", message=message)
    created = record.get("created_at")
    # Both are UTC in one form, so they compare as text.
    if key.expires is not None and isinstance(created, str) and created > key.expires:
        yield Problem(code="ML-REL-135", message=f"{who} expired at {key.expires}; the record was made at {created}")


def _statement_problems(content: Mapping[str, Any], raw: bytes, record: Mapping[str, Any]) -> Iterator[Problem]:
    said, reason = _statement_in(content)
    if said is None:
        yield Problem(code="ML-REL-139", message=f"what is signed is no statement about a release: {reason}")
        return
    must = _statement(raw, record)
    theirs, ours = _digests(said), _digests(must)
    if theirs.get("record.json") != ours["record.json"] or said.get("predicate") != must["predicate"]:
        release = said["predicate"].get("release") if isinstance(said.get("predicate"), dict) else None
        message = f"the signature is about another record (of {short(release)}), not about this one"
        yield Problem(code="ML-REL-136", message=message)
    others = sorted(name for name in {*theirs, *ours} - {"record.json"} if theirs.get(name) != ours.get(name))
    if others:
        message = f"the signature is about other files than the record names: {', '.join(map(short, others[:10]))}"
        yield Problem(code="ML-REL-137", message=message)


def _statement_in(content: Mapping[str, Any]) -> tuple[dict[str, Any] | None, str]:
    from google.protobuf.json_format import Error, MessageToDict, ParseDict  # noqa: PLC0415
    from in_toto_attestation.v1.statement import Statement  # noqa: PLC0415
    from in_toto_attestation.v1.statement_pb2 import Statement as Message  # noqa: PLC0415

    envelope = _envelope(content)
    if envelope.payload_type != PAYLOAD_TYPE:
        return None, f"payloadType={short(envelope.payload_type)}"
    try:
        statement = Statement.copy_from_pb(ParseDict(json.loads(envelope.payload), Message()))
        statement.validate()
        found: dict[str, Any] = MessageToDict(statement.pb)
    except (Error, RecursionError, *_MALFORMED) as error:
        return None, short(str(error))
    if found["predicateType"] != PREDICATE_TYPE:
        return None, f"predicateType={short(found['predicateType'])}"
    return found, ""


def _statement(raw: bytes, record: Mapping[str, Any]) -> dict[str, Any]:
    """What is signed: the hashes of the record and of its files, and what the record says in one line."""
    from google.protobuf.json_format import MessageToDict  # noqa: PLC0415
    from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor  # noqa: PLC0415
    from in_toto_attestation.v1.statement import Statement  # noqa: PLC0415

    files = {"record.json": hashlib.sha256(raw).hexdigest(), **_texts(record.get("files"))}
    subjects = [ResourceDescriptor(name=name, digest={"sha256": files[name]}).pb for name in sorted(files)]
    gate, champion = record.get("gate"), record.get("champion")
    predicate = {
        "release": str(record.get("release")),
        "verdict": str(gate.get("verdict")) if isinstance(gate, dict) else "",
        "record_digest": str(record.get("digest")),
        "created_at": str(record.get("created_at")),
        "champion": str(champion.get("digest")) if isinstance(champion, dict) else "",
    }
    found: dict[str, Any] = MessageToDict(Statement(subjects, PREDICATE_TYPE, predicate).pb)
    return found


def _texts(value: object) -> dict[str, str]:
    return {key: str(item) for key, item in value.items()} if isinstance(value, dict) else {}


def _digests(statement: Mapping[str, Any]) -> dict[str, str]:
    subjects = statement.get("subject", [])
    return {str(item.get("name")): str(item.get("digest", {}).get("sha256")) for item in subjects}
