"""The configuration object `analysis`: how long and by what a release is watched once it has the traffic. Pure."""

from dataclasses import dataclass, field
from typing import Final

from infra.config_reader import Reader
from ml.delivery.promise import Promise

SLOW_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
"""The server's histogram knows how many were slower than these, in seconds, and nothing in between."""


@dataclass(frozen=True, kw_only=True)
class AnalysisSettings:
    """Whether a release is watched, and by what promise."""

    enabled: bool = True
    promise: Promise = field(default_factory=Promise)


def read(reader: Reader) -> AnalysisSettings:
    """The settings of the object; its problems land in the reader's list."""
    default = Promise()
    found = AnalysisSettings(
        enabled=reader.flag("enabled", default=True),
        promise=Promise(
            seconds=reader.integer("seconds", default.seconds, low=10, high=3600),
            requests=reader.integer("requests", default.requests, low=100, high=1_000_000),
            error_share=reader.number("errorShare", default.error_share, low=0.0001, high=0.5),
            slow_s=reader.member("slowSeconds", default.slow_s, SLOW_S),
            slow_share=reader.number("slowShare", default.slow_share, low=0.0001, high=0.9),
        ),
    )
    reader.finish()
    return found
