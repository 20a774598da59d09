"""What a release must keep while it is watched. Pure and light: the Pulumi program reads it at every preview."""

from dataclasses import dataclass
from typing import Final

CHAMPION_SERVING: Final = "champion-serving.json"
"""Where the Job finds the reference of the release that it compares with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Promise:
    """The limits of an analysis; `Pulumi.yaml` says which of them a stack may set.

    Attributes:
        seconds: How long it is watched.
        requests: Fewer predictions than this say nothing; probes of our own make them up.
        error_share: Of predictions that may fail.
        slow_s: Longer is slow; one of the server's histogram bounds, in seconds.
        slow_share: Of predictions that may be slow.
        lost_share: Of rows for which the model may give no finite number.
        ratio: How many times the champion's share is allowed as well.
    """

    seconds: int = 60
    requests: int = 700
    error_share: float = 0.01
    slow_s: float = 0.25
    slow_share: float = 0.05
    lost_share: float = 0.01
    ratio: float = 2.0
    looks: int = 20
