"""Private keys: made, kept in a file that only its owner can read, and never printed.

They lie in `keys/` under MLP_HOME. CI gives one by `MLP_SIGNING_KEY_FILE` (a path) or `MLP_SIGNING_KEY` (the PEM text).
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from securesystemslib.signer import CryptoSigner

from ml.errors import ConfigError, GateError, UsageError
from ml.release.keys import FOLDER, TrustedKey, key_of, trusted
from ml.release.record import canonical_bytes

if TYPE_CHECKING:
    from securesystemslib.signer import Signer

FILE_VARIABLE: Final = "MLP_SIGNING_KEY_FILE"
TEXT_VARIABLE: Final = "MLP_SIGNING_KEY"
_CREATE: Final = "mlp keys create"
_OTHERS: Final = 0o077


def create(root: Path, home: Path, owner: str, *, now: datetime, expires: datetime | None) -> TrustedKey:
    """A new key: the private half under `home`, the public half in the checkout, to be committed."""
    private = Ed25519PrivateKey.generate()
    key = _public(private.public_key(), owner, now=now, expires=expires)
    folder = home / "keys"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{key.keyid}.pem"
    # Made readable by nobody else, not changed to that afterwards.
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(
            private.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
    return _commit(root, key)


def trust(  # noqa: PLR0913  (keyword-only: the clock and the times are the caller's)
    root: Path, home: Path, named: str, owner: str, *, now: datetime, expires: datetime | None
) -> TrustedKey:
    """Put a public key into the checkout: one of this machine by its id, or a PEM file of somebody else.

    Raises:
        UsageError: If there is neither, or the file holds no Ed25519 public key.
    """
    path = home / "keys" / f"{named}.pem"
    if path.is_file():
        return _commit(root, _public(_load(path.read_bytes(), str(path)).public_key(), owner, now=now, expires=expires))
    try:
        public = serialization.load_pem_public_key(Path(named).read_bytes())
    except (OSError, ValueError) as error:
        message = f"{named}: neither a key of this machine nor a file with a public key in PEM"
        raise UsageError("ML-REL-033", message, "mlp keys list, or openssl pkey -in KEY -pubout -out FILE") from error
    if not isinstance(public, Ed25519PublicKey):
        message = f"{named}: holds a {type(public).__name__}; must be an Ed25519 key"
        raise UsageError("ML-REL-033", message, "openssl genpkey -algorithm ed25519")
    return _commit(root, _public(public, owner, now=now, expires=expires))


def revoke(root: Path, keyid: str, because: str, *, now: datetime) -> TrustedKey:
    """Mark a key as revoked; the start of its id is enough.

    Raises:
        UsageError: If not exactly one trusted key begins so.
    """
    found = [key for key in trusted(root).keys.values() if keyid and key.keyid.startswith(keyid)]
    if len(found) != 1:
        message = f"key {keyid!r}: must be the id (or its start) of exactly one key in {FOLDER}, not of {len(found)}"
        raise UsageError("ML-REL-034", message, "mlp keys list")
    if found[0].revoked_at is not None:
        return found[0]
    return _write(root, replace(found[0], revoked_at=moment(now), revoked_because=because))


def signer(root: Path, home: Path, environment: Mapping[str, str], *, now: datetime) -> "Signer":
    """The signer for new evidence: a private key at hand whose public key is trusted, not revoked and not expired.

    Raises:
        GateError: If there is no private key, or none that the checkout trusts.
        ConfigError: If a private key cannot be read, or others can read it.
    """
    signers = list(_at_hand(home, environment))
    if not signers:
        message = "evidence must be signed, and there is no signing key: not in the environment, not on this machine"
        raise GateError("ML-REL-030", message, f"{_CREATE}, and commit the public key")
    keys = trusted(root).keys
    usable = [found for found in signers if _usable(keys.get(found.public_key.keyid), now)]
    if not usable:
        ids = ", ".join(found.public_key.keyid[:16] for found in signers)
        message = f"none of the signing keys at hand ({ids}) is trusted in {FOLDER}, unrevoked and unexpired"
        raise GateError("ML-REL-031", message, f"mlp keys trust KEYID, or {_CREATE}")
    return max(usable, key=lambda found: keys[found.public_key.keyid].created)


def at_hand(home: Path, environment: Mapping[str, str]) -> list[str]:
    """The ids of the private keys that this process could sign with."""
    return [found.public_key.keyid for found in _at_hand(home, environment)]


def moment(now: datetime) -> str:
    """A time as records and keys hold it."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _at_hand(home: Path, environment: Mapping[str, str]) -> Iterator[CryptoSigner]:
    if text := environment.get(TEXT_VARIABLE):
        yield _signer(_load(text.encode(), TEXT_VARIABLE))
        return
    named = environment.get(FILE_VARIABLE)
    for path in [Path(named)] if named else sorted((home / "keys").glob("*.pem")):
        try:
            mode, content = path.stat().st_mode, path.read_bytes()
        except OSError as error:
            raise ConfigError(
                "ML-REL-032", f"signing key {path}: {error.strerror}", f"correct {FILE_VARIABLE}"
            ) from error
        if mode & _OTHERS:
            message = f"signing key {path} has mode {mode & 0o777:03o}: others than its owner can use it"
            raise ConfigError("ML-REL-032", message, f"chmod 600 {path}")
        yield _signer(_load(content, str(path)))


def _load(content: bytes, where: str) -> Ed25519PrivateKey:
    try:
        private = serialization.load_pem_private_key(content, password=None)
    except (ValueError, TypeError) as error:
        # Not the library's words: they may quote the key.
        raise ConfigError("ML-REL-032", f"signing key {where}: is no private key in PEM", _CREATE) from error
    if not isinstance(private, Ed25519PrivateKey):
        raise ConfigError("ML-REL-032", f"signing key {where}: must be an Ed25519 key", _CREATE)
    return private


def _signer(private: Ed25519PrivateKey) -> CryptoSigner:
    return CryptoSigner(private, key_of(private.public_key().public_bytes_raw()))


def _usable(key: TrustedKey | None, now: datetime) -> bool:
    return key is not None and key.revoked_at is None and (key.expires is None or moment(now) <= key.expires)


def _public(public: Ed25519PublicKey, owner: str, *, now: datetime, expires: datetime | None) -> TrustedKey:
    raw = public.public_bytes_raw()
    return TrustedKey(
        keyid=str(key_of(raw).keyid),
        public=raw.hex(),
        owner=owner,
        created=moment(now),
        expires=None if expires is None else moment(expires),
        revoked_at=None,
    )


def _commit(root: Path, key: TrustedKey) -> TrustedKey:
    """A key that is trusted already stays as it is: its revocation must not be lost."""
    known = trusted(root).keys.get(key.keyid)
    return known if known is not None else _write(root, key)


def _write(root: Path, key: TrustedKey) -> TrustedKey:
    folder = root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{key.keyid}.json"
    scratch = path.with_suffix(".new")
    scratch.write_bytes(canonical_bytes(key.to_json()))
    scratch.replace(path)
    return key
