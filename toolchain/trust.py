"""Certificate authorities that this machine trusts beyond Debian's own, such as a company's proxy.

Image builds fetch packages through the same network, so the base image has to trust them as well.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

BUNDLE: Final = Path("/etc/ssl/certs/ca-certificates.crt")
DEBIANS: Final = Path("/usr/share/ca-certificates")
PEM: Final = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


def extra_authorities() -> list[str]:
    """Certificates (PEM) in this machine's bundle beyond those of Debian's package; empty without a bundle."""
    if not BUNDLE.exists():
        return []
    return beyond(BUNDLE.read_text(), (path.read_text() for path in DEBIANS.rglob("*.crt")))


def beyond(bundle: str, known: Iterable[str]) -> list[str]:
    """The certificates of `bundle` that are in none of `known`, in the bundle's order; white space does not count."""
    there = {_bare(pem) for text in known for pem in PEM.findall(text)}
    return [pem for pem in PEM.findall(bundle) if _bare(pem) not in there]


def _bare(pem: str) -> str:
    return re.sub(r"\s", "", pem)
