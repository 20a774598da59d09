"""The signature of a release: a DSSE envelope with an in-toto statement about the record and every file it names.

Pure: bytes and keys in, problems out; never raises on an envelope that somebody made up. Called by `ml.release.store`,
by `ml.release.create` and by the policy pack, which has the envelope as an annotation.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from ml.release import envelope as envelopes
from ml.release.keys import Trusted
from ml.release.record import Problem, read, short

if TYPE_CHECKING:
    from securesystemslib.signer import Signer

SIGNATURE: Final = "record.dsse.json"
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


def sign(raw: bytes, signer: "Signer") -> bytes:
    """The envelope for a record that `ml.release.proof` finds whole, in its one byte form."""
    record, _ = read(raw)
    return envelopes.sealed(_statement(raw, record), signer)


def problems(envelope: bytes | None, raw: bytes, trust: Trusted) -> list[Problem]:
    """Why the envelope does not prove that the record is a release by somebody trusted; empty when it does.

    Args:
        envelope: The bytes of the signature file; None where there is none.
        raw: The bytes of the record. What is wrong with the record itself is not looked for here.
        trust: The committed keys.
    """
    content, key, found = envelopes.opened(envelope, trust, "the release")
    if key is None:
        return found
    record, unreadable = read(raw)
    found += envelopes.key_problems(key, record.get("created_at"), "the record")
    if unreadable is not None:
        message = "the signature is about another record: this one cannot be read"
        return [*found, Problem(code="ML-REL-136", message=message)]
    return [*found, *_statement_problems(content, raw, record)]


def _statement_problems(content: Mapping[str, Any], raw: bytes, record: Mapping[str, Any]) -> Iterator[Problem]:
    said, reason = envelopes.statement_in(content, PREDICATE_TYPE)
    if said is None:
        yield Problem(code="ML-REL-139", message=f"what is signed is no statement about a release: {reason}")
        return
    must = _statement(raw, record)
    theirs, ours = envelopes.digests(said), envelopes.digests(must)
    if theirs.get("record.json") != ours["record.json"] or said.get("predicate") != must["predicate"]:
        release = said["predicate"].get("release") if isinstance(said.get("predicate"), dict) else None
        message = f"the signature is about another record (of {short(release)}), not about this one"
        yield Problem(code="ML-REL-136", message=message)
    others = sorted(name for name in {*theirs, *ours} - {"record.json"} if theirs.get(name) != ours.get(name))
    if others:
        message = f"the signature is about other files than the record names: {', '.join(map(short, others[:10]))}"
        yield Problem(code="ML-REL-137", message=message)


def _statement(raw: bytes, record: Mapping[str, Any]) -> dict[str, Any]:
    """What is signed: the hashes of the record and of its files, and what the record says in one line."""
    files = {"record.json": hashlib.sha256(raw).hexdigest(), **_texts(record.get("files"))}
    gate, champion = record.get("gate"), record.get("champion")
    predicate = {
        "release": str(record.get("release")),
        "verdict": str(gate.get("verdict")) if isinstance(gate, dict) else "",
        "record_digest": str(record.get("digest")),
        "created_at": str(record.get("created_at")),
        "champion": str(champion.get("digest")) if isinstance(champion, dict) else "",
    }
    return envelopes.statement(files, PREDICATE_TYPE, predicate)


def _texts(value: object) -> dict[str, str]:
    return {key: str(item) for key, item in value.items()} if isinstance(value, dict) else {}
