"""Pulumi property values as plain Python values, and which of them are secret."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pulumi.provider.experimental.property_value import Computed, PropertyValue
from pulumi.runtime import rpc


class _Unknown:
    """The one value that preview cannot know; it equals nothing, itself included."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]  # (unhashable on purpose: it has no identity)

    def __eq__(self, _other: object) -> bool:
        return False

    def __repr__(self) -> str:
        return "<unknown>"


UNKNOWN: Final = _Unknown()


def computed() -> PropertyValue:
    """An unknown property; the SDK's own `computed()` cannot be sent in this version."""
    return PropertyValue(rpc.UNKNOWN)


def plain(value: PropertyValue) -> Any:
    """The value without secret marks and dependencies; unknown parts become `UNKNOWN`, nulls vanish from maps."""
    inner = value.value
    if isinstance(inner, Computed) or inner == rpc.UNKNOWN:
        return UNKNOWN
    if isinstance(inner, Mapping):
        return {key: plain(item) for key, item in inner.items() if item.value is not None}
    if isinstance(inner, Sequence) and not isinstance(inner, str):
        return [plain(item) for item in inner]
    return inner


def has_unknown(value: Any) -> bool:
    """Whether any part of a plain value is unknown."""
    if isinstance(value, dict):
        return any(has_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(has_unknown(item) for item in value)
    return value is UNKNOWN


def secrets(value: PropertyValue, *, inside: bool = False) -> Iterator[str]:
    """Every string below a secret mark, for masking."""
    marked = inside or value.is_secret
    inner = value.value
    if isinstance(inner, str):
        if marked and inner:
            yield inner
    elif isinstance(inner, Mapping):
        for item in inner.values():
            yield from secrets(item, inside=marked)
    elif isinstance(inner, Sequence):
        for element in inner:
            if isinstance(element, PropertyValue):
                yield from secrets(element, inside=marked)
