"""DSSE envelopes with an in-toto statement: sealed, opened, and held against the committed keys.

Pure: bytes and keys in, problems out; never raises on an envelope that somebody made up. Called by
`ml.release.signature` for records and by `ml.release.images` for what was found in an image.

Source: DSSE v1 (secure-systems-lab/dsse), in-toto attestation framework, Statement v1.
"""

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from ml.release.fields import envelope_flaws
from ml.release.keys import Trusted, TrustedKey
from ml.release.record import Problem, canonical_bytes, read, short

if TYPE_CHECKING:
    from securesystemslib.signer import Signer

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
MAX_BYTES: Final = 32 * 1024  # an envelope is some 2 KiB; record and envelope share Kubernetes' 256 KiB of annotations


def sealed(statement: Mapping[str, Any], signer: "Signer") -> bytes:
    """The envelope for a statement, in its one byte form."""
    from securesystemslib.dsse import Envelope  # noqa: PLC0415  (a tenth of a second, only where something is signed)

    envelope = Envelope(canonical_bytes(statement), PAYLOAD_TYPE, {})
    envelope.sign(signer)
    return canonical_bytes(envelope.to_dict())


def opened(
    envelope: bytes | None, trust: Trusted, what: str
) -> tuple[Mapping[str, Any], TrustedKey | None, list[Problem]]:
    """The envelope's content and who signed it; the key is None where it proves nothing, and the problems say why.

    Args:
        envelope: Its bytes; None where there is none.
        trust: The committed keys.
        what: Of what it is the signature, for the messages.
    """
    found = list(trust.problems)
    if envelope is None:
        message = f"{what} is not signed: anybody could have made it"
        return {}, None, [*found, Problem(code="ML-REL-130", message=message)]
    content, reason = _parsed(envelope)
    if content is None:
        message = f"the signature is no envelope of ours: {reason}"
        return {}, None, [*found, Problem(code="ML-REL-131", message=message)]
    keyid = content["signatures"][0]["keyid"]
    key = trust.keys.get(keyid)
    if key is None:
        message = f"{what} is signed by key {keyid}: nobody trusts it"
        return content, None, [*found, Problem(code="ML-REL-132", message=message)]
    if not _verifies(content, key):
        message = f"the signature is not the one of key {keyid} ({key.owner}) over this statement"
        return content, None, [*found, Problem(code="ML-REL-133", message=message)]
    return content, key, found


def keyid_of(envelope: bytes) -> str | None:
    """Who says to have signed; None when it is no envelope of ours."""
    content, _ = _parsed(envelope)
    return None if content is None else str(content["signatures"][0]["keyid"])


def key_problems(key: TrustedKey, made_at: object, what: str) -> Iterator[Problem]:
    """Why the signature of a trusted key does not count: it was revoked, or had expired when `what` was made."""
    who = f"key {key.keyid} ({key.owner})"
    if key.revoked_at is not None:
        message = f"{who} was revoked at {key.revoked_at} ({key.revoked_because}): nothing it signed counts any more"
        yield Problem(code="ML-REL-134", message=message)
    # Both are UTC in one form, so they compare as text.
    if key.expires is not None and isinstance(made_at, str) and made_at > key.expires:
        yield Problem(code="ML-REL-135", message=f"{who} expired at {key.expires}; {what} was made at {made_at}")


def statement(files: Mapping[str, str], predicate_type: str, predicate: Mapping[str, str]) -> dict[str, Any]:
    """An in-toto statement about subjects, name -> SHA-256, as plain JSON values."""
    from google.protobuf.json_format import MessageToDict  # noqa: PLC0415
    from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor  # noqa: PLC0415
    from in_toto_attestation.v1.statement import Statement  # noqa: PLC0415

    subjects = [ResourceDescriptor(name=name, digest={"sha256": files[name]}).pb for name in sorted(files)]
    found: dict[str, Any] = MessageToDict(Statement(subjects, predicate_type, dict(predicate)).pb)
    return found


def statement_in(content: Mapping[str, Any], predicate_type: str) -> tuple[dict[str, Any] | None, str]:
    """The statement of a verified envelope, or why there is none of this type."""
    from google.protobuf.json_format import Error, MessageToDict, ParseDict  # noqa: PLC0415
    from in_toto_attestation.v1.statement import Statement  # noqa: PLC0415
    from in_toto_attestation.v1.statement_pb2 import Statement as Message  # noqa: PLC0415

    envelope = _envelope(content)
    if envelope.payload_type != PAYLOAD_TYPE:
        return None, f"payloadType={short(envelope.payload_type)}"
    try:
        told = Statement.copy_from_pb(ParseDict(json.loads(envelope.payload), Message()))
        told.validate()
        found: dict[str, Any] = MessageToDict(told.pb)
    except (Error, RecursionError, *_MALFORMED) as error:
        return None, short(str(error))
    if found["predicateType"] != predicate_type:
        return None, f"predicateType={short(found['predicateType'])}"
    return found, ""


def digests(statement: Mapping[str, Any]) -> dict[str, str]:
    """Subject -> SHA-256, as the statement says."""
    subjects = statement.get("subject", [])
    return {str(item.get("name")): str(item.get("digest", {}).get("sha256")) for item in subjects}


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
