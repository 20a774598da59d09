"""Whose word a release is: every way to lack, forge, move or replay a signature has its own code."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope

from ml.release.envelope import MAX_BYTES, PAYLOAD_TYPE, keyid_of
from ml.release.example import example, example_bytes
from ml.release.keys import Trusted
from ml.release.record import canonical_bytes, seal
from ml.release.signature import problems, sign
from tests.ml.release.signing import SIGNER, TRUST, signer, trusted_key

RAW = example_bytes()
GOOD = sign(RAW, SIGNER)
KEYID = SIGNER.public_key.keyid


def codes(envelope: bytes | None, raw: bytes = RAW, trust: Trusted = TRUST) -> list[str]:
    return [problem.code for problem in problems(envelope, raw, trust)]


def payload() -> dict[str, Any]:
    return json.loads(base64.b64decode(json.loads(GOOD)["payload"]))


def signed(statement: object, payload_type: str = PAYLOAD_TYPE) -> bytes:
    """What a trusted key would have signed, whatever it says."""
    content = statement if isinstance(statement, bytes) else json.dumps(statement).encode()
    envelope = Envelope(content, payload_type, {})
    envelope.sign(SIGNER)
    return canonical_bytes(envelope.to_dict())


def edited(change: Callable[[dict[str, Any]], Any]) -> bytes:
    envelope = json.loads(GOOD)
    change(envelope)
    return canonical_bytes(envelope)


def trusting(**changes: str | None) -> Trusted:
    return Trusted(keys={KEYID: trusted_key(**changes)})


def test_a_release_signed_by_a_trusted_key_has_no_problems() -> None:
    assert problems(GOOD, RAW, TRUST) == []
    assert keyid_of(GOOD) == KEYID
    assert sign(RAW, SIGNER) == GOOD


def test_the_statement_names_the_record_and_every_file_of_it() -> None:
    statement = payload()

    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert [subject["name"] for subject in statement["subject"]] == ["model.onnx", "record.json", "serving.json"]
    assert statement["predicate"] == {
        "release": "example-0000", "verdict": "pass", "record_digest": example()["digest"],
        "created_at": "2013-08-01T12:00:00Z", "champion": "b" * 64,
    }  # fmt: skip


def test_an_unsigned_release_is_refused() -> None:
    assert codes(None) == ["ML-REL-130"]


NO_ENVELOPE = {
    "empty": b"",
    "not json": b"{",
    "a list": b"[]",
    "too long": b" " * (MAX_BYTES + 1),
    "nested": b"[" * 100_000,
    "no signature in it": edited(lambda e: e.update(signatures=[])),
    "two signatures": edited(lambda e: e["signatures"].append(e["signatures"][0])),
    "an unknown field": edited(lambda e: e.update(note="trust me")),
    "no payload": edited(lambda e: e.pop("payload")),
    "a payload that is no base64": edited(lambda e: e.update(payload="%%%")),
    "a payload with other padding bits": GOOD.replace(b'"payload": "', b'"payload": "\\n'),
    "other white space": GOOD + b"\n",
    "a key id that is none": edited(lambda e: e["signatures"][0].update(keyid="x")),
}


@pytest.mark.parametrize("envelope", NO_ENVELOPE.values(), ids=NO_ENVELOPE.keys())
def test_what_is_no_envelope_of_ours_is_refused(envelope: bytes) -> None:
    assert codes(envelope) == ["ML-REL-131"]


def test_a_key_that_nobody_trusts_signs_nothing() -> None:
    assert codes(sign(RAW, signer(2))) == ["ML-REL-132"]
    assert codes(GOOD, trust=Trusted()) == ["ML-REL-132"]


def test_a_signature_by_another_key_under_a_trusted_id_is_found() -> None:
    other = json.loads(sign(RAW, signer(2)))["signatures"][0]["sig"]

    assert codes(edited(lambda e: e["signatures"][0].update(sig=other))) == ["ML-REL-133"]


def test_a_payload_changed_after_signing_is_found() -> None:
    statement = payload()
    statement["predicate"]["release"] = "example-0009"
    text = base64.b64encode(json.dumps(statement).encode()).decode()

    assert codes(edited(lambda e: e.update(payload=text))) == ["ML-REL-133"]
    assert codes(edited(lambda e: e.update(payloadType="text/plain"))) == ["ML-REL-133"]


def test_a_revoked_key_takes_all_its_signatures_along() -> None:
    """Also those from before: the time in a record is the signer's own word."""
    trust = trusting(revoked_at="2030-01-01T00:00:00Z", revoked_because="laptop lost")

    assert codes(GOOD, trust=trust) == ["ML-REL-134"]
    assert "laptop lost" in str(problems(GOOD, RAW, trust)[0])


@pytest.mark.parametrize(("expires", "found"), [("2013-08-01T12:00:00Z", []), ("2013-08-01T11:59:59Z", ["ML-REL-135"])])
def test_an_expired_key_signs_no_record_made_later(expires: str, found: list[str]) -> None:
    assert codes(GOOD, trust=trusting(expires=expires)) == found


def test_the_signature_of_another_release_is_found() -> None:
    other = example_bytes(lambda r: r.update(release="example-0009"))

    assert codes(GOOD, other) == ["ML-REL-136"]
    assert codes(sign(other, SIGNER), RAW) == ["ML-REL-136"]


def test_a_record_replayed_with_a_new_model_is_found() -> None:
    """The old record with the new model's hash put in, sealed anew; the old signature beside it."""
    record = example()
    record["files"]["model.onnx"] = "f" * 64

    assert codes(GOOD, canonical_bytes(seal(record))) == ["ML-REL-136", "ML-REL-137"]


def test_a_weaker_champion_put_in_afterwards_is_found() -> None:
    record = example()
    record["champion"]["digest"] = "d" * 64

    assert codes(GOOD, canonical_bytes(seal(record))) == ["ML-REL-136"]


def _without(*names: str) -> dict[str, Any]:
    statement = payload()
    statement["subject"] = [subject for subject in statement["subject"] if subject["name"] not in names]
    return statement


OTHER_STATEMENTS = {
    "another predicate": (signed({**payload(), "predicateType": "https://slsa.dev/provenance/v1"}), "ML-REL-139"),
    "another type": (signed({**payload(), "_type": "https://in-toto.io/Statement/v0.1"}), "ML-REL-139"),
    "another payload type": (signed(payload(), "application/json"), "ML-REL-139"),
    "an unknown field": (signed({**payload(), "more": 1}), "ML-REL-139"),
    "no subject": (signed({**payload(), "subject": []}), "ML-REL-139"),
    "no json": (signed(b"release"), "ML-REL-139"),
    "a list": (signed([]), "ML-REL-139"),
    "a model left out": (signed(_without("model.onnx")), "ML-REL-137"),
    "the record left out": (signed(_without("record.json")), "ML-REL-136"),
    "another verdict": (
        signed({**payload(), "predicate": {**payload()["predicate"], "verdict": "fail"}}),
        "ML-REL-136",
    ),
}


@pytest.mark.parametrize(("envelope", "code"), OTHER_STATEMENTS.values(), ids=OTHER_STATEMENTS.keys())
def test_a_trusted_key_under_another_statement_proves_nothing(envelope: bytes, code: str) -> None:
    assert codes(envelope) == [code]


@settings(max_examples=300)
@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_no_changed_byte_of_an_envelope_verifies(at: int, value: int) -> None:
    changed = bytearray(GOOD)
    changed[at] = value if value != GOOD[at] else value ^ 1

    assert codes(bytes(changed))


@settings(max_examples=300)
@given(st.integers(0, len(GOOD)), st.integers(0, 40), st.binary(max_size=4))
def test_no_cut_or_stretched_envelope_verifies(at: int, cut: int, put: bytes) -> None:
    changed = GOOD[:at] + put + GOOD[at + cut :]

    assert changed == GOOD or codes(changed)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(JSON, st.sampled_from(["payload", "payloadType", "signatures", "more"]))
def test_no_json_in_an_envelope_verifies_or_raises(value: Any, field: str) -> None:
    assert codes(json.dumps({**json.loads(GOOD), field: value}).encode())


@given(JSON)
def test_no_statement_signed_by_mistake_verifies_or_raises(value: Any) -> None:
    assert codes(signed({**payload(), "predicate": value}))


@given(JSON)
def test_no_record_makes_the_signature_raise(value: Any) -> None:
    assert codes(GOOD, json.dumps({**example(), "files": value, "gate": value}).encode())
