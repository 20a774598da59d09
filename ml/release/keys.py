"""The public keys that may sign releases: `releases/keys/<keyid>.json`, committed, so that a review decides who signs.

Reads the checkout only and never raises on what stands there. Private keys are `ml.release.signing`'s.

A key's `expires` ends what it may sign: a record made later is refused. `revoked_at` ends what its signatures are
worth: every one is refused, earlier ones too, because the time in a record is written by whoever holds the key. A
release that is still wanted is then signed again by another key (`mlp release sign`).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ml.release.fields import key_flaws
from ml.release.record import Problem

if TYPE_CHECKING:
    from securesystemslib.signer import SSlibKey

SCHEMA: Final = "ml-pipeline/key/v1"
FOLDER: Final = Path("releases/keys")


@dataclass(frozen=True, kw_only=True)
class TrustedKey:
    """One committed public key; times as in the file, UTC."""

    keyid: str
    public: str
    owner: str
    created: str
    expires: str | None
    revoked_at: str | None
    revoked_because: str | None = None

    @cached_property
    def key(self) -> "SSlibKey":
        """The key that checks signatures.

        Raises:
            ValueError: If `public` is no point of the curve.
        """
        return key_of(bytes.fromhex(self.public))

    def to_json(self) -> dict[str, Any]:
        """The key as it is committed."""
        names = ("keyid", "public", "owner", "created", "expires", "revoked_at", "revoked_because")
        return {"schema": SCHEMA, "scheme": "ed25519", **{name: getattr(self, name) for name in names}}


@dataclass(frozen=True, kw_only=True)
class Trusted:
    """All committed keys by id, and what is wrong with files that are none."""

    keys: Mapping[str, TrustedKey] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


def trusted(root: Path) -> Trusted:
    """The keys of a checkout. A file that is no key is a problem of every signature: somebody must look at it."""
    folder = root / FOLDER
    keys, problems = {}, []
    for path in sorted(folder.glob("*.json")):
        key, reason = _read(path)
        if key is None:
            problems.append(Problem(code="ML-REL-138", message=f"{FOLDER / path.name} is no trusted key: {reason}"))
        else:
            keys[key.keyid] = key
    return Trusted(keys=keys, problems=tuple(problems))


def key_of(public: bytes) -> "SSlibKey":
    """The key for 32 public bytes; its id is the hash of the key, so that an id cannot be given to another key.

    Raises:
        ValueError: If the bytes are no point of the curve.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415  (loaded when used)
    from securesystemslib.signer import SSlibKey  # noqa: PLC0415

    return SSlibKey.from_crypto(Ed25519PublicKey.from_public_bytes(public))


def _read(path: Path) -> tuple[TrustedKey | None, str]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        return None, f"it cannot be read as JSON: {type(error).__name__}"
    if flaws := key_flaws(content):
        return None, "; ".join(flaw.message for flaw in flaws)
    key = TrustedKey(**{name: value for name, value in content.items() if name not in ("schema", "scheme")})
    try:
        keyid = key.key.keyid
    except ValueError as error:
        return None, f"public={key.public!r}: {error}"
    if not path.name == f"{keyid}.json" == f"{key.keyid}.json":
        return None, f"the id of this public key is {keyid}; it must be the keyid and the file's name"
    return key, ""
