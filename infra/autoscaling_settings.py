"""The configuration object `autoscaling`: how many pods a slot may have. Pure."""

from dataclasses import dataclass

from infra.config_reader import Reader


@dataclass(frozen=True, kw_only=True)
class AutoscalingSettings:
    """The HorizontalPodAutoscaler of each slot."""

    enabled: bool = True
    min: int = 3
    max: int = 6
    cpu: int = 70
    """Percent of the CPU request, averaged over the slot's pods."""


def read(reader: Reader) -> AutoscalingSettings:
    """The settings of the object; its problems land in the reader's list."""
    default = AutoscalingSettings()
    found = AutoscalingSettings(
        enabled=reader.flag("enabled", default=default.enabled),
        min=reader.integer("min", default.min, low=1, high=100),
        max=reader.integer("max", default.max, low=1, high=100),
        cpu=reader.integer("cpu", default.cpu, low=1, high=1000),
    )
    if found.min > found.max:
        reader.problem("max", found.max, f"at least min, which is {found.min}", str(found.min))
    reader.finish()
    return found
