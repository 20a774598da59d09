"""The registry under a row: a tag that moves, by GET and PUT of manifests (the OCI distribution protocol)."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx

KINDS = ", ".join(
    f"application/vnd.{kind}+json"
    for kind in ("oci.image.index.v1", "oci.image.manifest.v1", "docker.distribution.manifest.v2")
)


@contextmanager
def moved_tag(reference: str) -> Iterator[tuple[str, str, str]]:
    """The tag under which an image was pushed means another image of its repository while the block lasts.

    Args:
        reference: `HOST/NAME@DIGEST` of an image with a tag, in a repository with two images or more.

    Yields:
        The tag's reference; the digest that it meant, and that it means now.
    """
    host, _, rest = reference.partition("/")
    name, _, digest = rest.partition("@")
    with httpx.Client(base_url=f"http://{host}/v2/{name}", headers={"Accept": KINDS}, timeout=10) as registry:
        meant = {tag: _digest(registry, tag) for tag in registry.get("/tags/list").json()["tags"]}
        tag = next(tag for tag, found in meant.items() if found == digest)
        other = next(found for found in meant.values() if found != digest)
        try:
            _put(registry, tag, other)
            yield f"{host}/{name}:{tag}", digest, _digest(registry, tag)
        finally:
            _put(registry, tag, digest)


def _digest(registry: httpx.Client, tag: str) -> str:
    return str(registry.head(f"/manifests/{tag}").raise_for_status().headers["Docker-Content-Digest"])


def _put(registry: httpx.Client, tag: str, digest: str) -> None:
    found = registry.get(f"/manifests/{digest}").raise_for_status()
    kind = {"Content-Type": found.headers["Content-Type"]}
    registry.put(f"/manifests/{tag}", content=found.content, headers=kind).raise_for_status()
