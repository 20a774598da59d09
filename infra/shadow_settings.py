"""The configuration object `shadow`: whether the idle slot answers a share of the live requests as well. Pure."""

from dataclasses import dataclass

from infra.config_reader import Reader


@dataclass(frozen=True, kw_only=True)
class ShadowSettings:
    """The mirror of every slot; only the one that clients call has anything to mirror."""

    enabled: bool = False
    share: float = 0.01
    """Of the requests that were answered."""


def read(reader: Reader) -> ShadowSettings:
    """The settings of the object; its problems land in the reader's list."""
    default = ShadowSettings()
    found = ShadowSettings(
        enabled=reader.flag("enabled", default=default.enabled),
        share=reader.number("share", default.share, low=0.0001, high=1),
    )
    reader.finish()
    return found
