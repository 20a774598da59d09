"""Keys: who is trusted stands in the checkout; what signs never leaves its file."""

import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ml.errors import ConfigError, GateError, PipelineError, UsageError
from ml.release import signing
from ml.release.example import example_bytes
from ml.release.keys import trusted
from ml.release.signature import problems, sign
from tests.ml.release.signing import trust, trusted_key

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
LATER = datetime(2026, 2, 28, 12, tzinfo=UTC)


def made(root: Path, expires: datetime | None = None) -> str:
    return signing.create(root, root / "home", "me", now=NOW, expires=expires).keyid


def refused(root: Path, environment: dict[str, str] | None = None, now: datetime = NOW) -> PipelineError:
    with pytest.raises(PipelineError) as found:
        signing.signer(root, root / "home", environment or {}, now=now)
    return found.value


def pem(private: Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    plain = serialization.NoEncryption()
    return private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)


def test_a_new_key_signs_and_is_trusted_in_the_checkout_that_made_it(tmp_path: Path) -> None:
    keyid = made(tmp_path)

    found = signing.signer(tmp_path, tmp_path / "home", {}, now=NOW)

    assert found.public_key.keyid == keyid
    assert problems(sign(example_bytes(), found), example_bytes(), trusted(tmp_path)) == []
    assert [path.name for path in (tmp_path / "releases/keys").iterdir()] == [f"{keyid}.json"]


def test_the_private_half_is_readable_by_its_owner_only_and_in_no_committed_file(tmp_path: Path) -> None:
    path = tmp_path / "home/keys" / f"{made(tmp_path)}.pem"

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    secret = serialization.load_pem_private_key(path.read_bytes(), None).private_bytes_raw()
    assert all(secret.hex() not in file.read_text() for file in (tmp_path / "releases").rglob("*.json"))


def test_without_a_key_the_refusal_names_the_command_that_makes_one(tmp_path: Path) -> None:
    error = refused(tmp_path)

    assert (error.code, type(error)) == ("ML-REL-030", GateError)
    assert "mlp keys create" in str(error)


def test_a_key_that_the_checkout_does_not_trust_any_more_is_refused_before_training(tmp_path: Path) -> None:
    keyid = made(tmp_path, expires=NOW)
    assert refused(tmp_path, now=LATER).code == "ML-REL-031"

    signing.revoke(tmp_path, keyid[:8], "lost", now=NOW)
    assert refused(tmp_path).code == "ML-REL-031"

    (tmp_path / "releases/keys" / f"{keyid}.json").unlink()
    assert refused(tmp_path).code == "ML-REL-031"


@pytest.mark.parametrize("variable", [signing.TEXT_VARIABLE, signing.FILE_VARIABLE])
def test_ci_gives_a_key_by_the_environment(tmp_path: Path, variable: str) -> None:
    path = tmp_path / "home/keys" / f"{made(tmp_path)}.pem"
    value = path.read_text() if variable == signing.TEXT_VARIABLE else str(path)

    found = signing.signer(tmp_path, tmp_path / "empty", {variable: value}, now=NOW)

    assert found.public_key.keyid == path.stem


def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "home/keys" / f"{made(tmp_path)}.pem"
    path.chmod(0o640)

    error = refused(tmp_path)

    assert (error.code, type(error)) == ("ML-REL-032", ConfigError)
    assert f"chmod 600 {path}" in str(error)


@pytest.mark.parametrize("content", [b"no key", b"", pem(ec.generate_private_key(ec.SECP256R1()))])
def test_what_is_no_signing_key_is_refused_without_being_shown(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(content)
    path.chmod(0o600)

    error = refused(tmp_path, {signing.FILE_VARIABLE: str(path)})

    assert error.code == "ML-REL-032"
    assert not content or content.decode()[:6] not in str(error)
    assert refused(tmp_path, {signing.FILE_VARIABLE: str(tmp_path / "none")}).code == "ML-REL-032"


def test_the_public_key_of_somebody_else_can_be_trusted(tmp_path: Path) -> None:
    theirs = Ed25519PrivateKey.generate()
    path = tmp_path / "ci.pub.pem"
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    path.write_bytes(theirs.public_key().public_bytes(serialization.Encoding.PEM, form))

    key = signing.trust(tmp_path, tmp_path / "home", str(path), "CI", now=NOW, expires=None)

    assert trusted(tmp_path).keys == {key.keyid: key}
    found = signing.signer(tmp_path, tmp_path / "home", {signing.TEXT_VARIABLE: pem(theirs).decode()}, now=NOW)
    assert found.public_key.keyid == key.keyid


def test_a_key_of_this_machine_can_be_trusted_in_another_checkout(tmp_path: Path) -> None:
    keyid = made(tmp_path)
    other = tmp_path / "other"

    signing.trust(other, tmp_path / "home", keyid, "me", now=NOW, expires=None)

    assert list(trusted(other).keys) == [keyid]


def test_trusting_a_revoked_key_again_does_not_bring_it_back(tmp_path: Path) -> None:
    keyid = made(tmp_path)
    signing.revoke(tmp_path, keyid, "lost", now=NOW)

    signing.trust(tmp_path, tmp_path / "home", keyid, "me", now=LATER, expires=None)
    signing.revoke(tmp_path, keyid, "again", now=LATER)

    assert trusted(tmp_path).keys[keyid].revoked_because == "lost"


@pytest.mark.parametrize("named", ["", "zz", "none.pem"])
def test_a_key_that_does_not_exist_is_neither_trusted_nor_revoked(tmp_path: Path, named: str) -> None:
    made(tmp_path)
    with pytest.raises(UsageError) as untrusted:
        signing.trust(tmp_path, tmp_path / "home", named, "me", now=NOW, expires=None)
    with pytest.raises(UsageError) as unrevoked:
        signing.revoke(tmp_path, named, "lost", now=NOW)

    assert (untrusted.value.code, unrevoked.value.code) == ("ML-REL-033", "ML-REL-034")


def test_a_file_that_is_no_key_is_told_and_a_key_under_another_id_is_none(tmp_path: Path) -> None:
    path = trust(tmp_path)
    path.rename(path.with_name(f"{'a' * 64}.json"))
    trust(tmp_path, trusted_key(public="b" * 64))

    found = trusted(tmp_path)

    assert found.keys == {}
    assert [problem.code for problem in found.problems] == ["ML-REL-138", "ML-REL-138"]
