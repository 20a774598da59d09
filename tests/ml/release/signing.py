"""A signing key for tests: always the same one, trusted where a test says so."""

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner

from ml.release.keys import FOLDER, Trusted, TrustedKey, key_of
from ml.release.record import canonical_bytes
from ml.release.signature import SIGNATURE, sign


def signer(seed: int = 1) -> CryptoSigner:
    private = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
    return CryptoSigner(private, key_of(private.public_key().public_bytes_raw()))


SIGNER = signer()


def pem(seed: int = 1) -> str:
    """The private half, as CI gives it."""
    private = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return private.private_bytes(serialization.Encoding.PEM, form, plain).decode()


def trusted_key(by: CryptoSigner = SIGNER, **changes: str | None) -> TrustedKey:
    key = by.public_key
    fields = {"keyid": key.keyid, "public": key.keyval["public"], "owner": "tests", "created": "2013-01-01T00:00:00Z"}
    return TrustedKey(**{**fields, "expires": None, "revoked_at": None, **changes})


TRUST = Trusted(keys={SIGNER.public_key.keyid: trusted_key()})


def trust(root: Path, key: TrustedKey | None = None) -> Path:
    key = key or trusted_key()
    path = root / FOLDER / f"{key.keyid}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(canonical_bytes(key.to_json()))
    return path


def sign_folder(directory: Path, by: CryptoSigner = SIGNER) -> None:
    """Sign a release folder, and trust the key in its checkout."""
    (directory / SIGNATURE).write_bytes(sign((directory / "record.json").read_bytes(), by))
    trust(directory.parent.parent)
