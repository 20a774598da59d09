"""What a killed `pulumi up` had begun to create: the state knows that it asked, and not whether it got it. Pure.

Objects of a fixed name are simply asked for again. Those of a drawn name (Jobs, configuration) would be made a second
time under another name, and the first would stay behind for ever. So each that exists is taken into the state; but
where it was to replace an object that the state still has, taking it in would make the state forget the other one, and
it is deleted instead: nothing can refer to it yet.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

PREFIX: Final = "kubernetes:"
CORE: Final = "core"


@dataclass(frozen=True, kw_only=True, slots=True)
class Pending:
    """One creation that nobody has seen the end of."""

    urn: str
    kind: str
    """As kubectl takes it, such as `Job.v1.batch`; empty for what is no object of the cluster."""
    namespace: str
    name: str
    is_spare: bool = False
    """Whether the state has another object in its place."""

    @property
    def provider_id(self) -> str:
        """The object's id in the state."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


def pending_creates(deployment: Mapping[str, Any]) -> list[Pending]:
    """The creations of an exported state (`pulumi stack export`) that were under way when it was last written."""
    operations = deployment.get("pending_operations") or []
    known = {str(one["urn"]): str(one.get("id") or "") for one in deployment.get("resources") or []}
    begun = [_pending(one["resource"]) for one in operations if one.get("type") == "creating"]
    return [replace(one, is_spare=known.get(one.urn, one.provider_id) != one.provider_id) for one in begun]


def _pending(resource: Mapping[str, Any]) -> Pending:
    metadata = (resource.get("inputs") or {}).get("metadata") or {}
    name = metadata.get("name")
    known = isinstance(name, str) and str(resource["type"]).startswith(PREFIX)
    return Pending(
        urn=str(resource["urn"]),
        kind=_kind(str(resource["type"])) if known else "",
        namespace=str(metadata.get("namespace") or ""),
        name=str(name or ""),
    )


def _kind(token: str) -> str:
    """`kubernetes:batch/v1:Job` as `Job.v1.batch`; the core group has no name."""
    _, version, kind = token.split(":")
    group, _, number = version.partition("/")
    return f"{kind}.{number}." + ("" if group == CORE else group)
