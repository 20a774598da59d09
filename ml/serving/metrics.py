"""The server's metrics: plain ints on the hot path, Prometheus text only when somebody scrapes.

Every label value comes from a closed set (route templates, status classes, reasons, features, bins), so the number of
series is fixed by the release and no client can grow it.
"""

import os
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from ml.serving.bins import FeatureBins
from ml.serving.shadow_compare import BOUNDS, Comparison

BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
ERROR_REASONS = (
    "malformed_json",
    "invalid_request",
    "invalid_features",
    "too_many_rows",
    "body_too_large",
    "unsupported_encoding",
    "unauthenticated",
    "malformed_http",
    "upgrade_refused",
    "header_too_large",
    "timeout",
    "overloaded",
    "deadline",
    "non_finite_output",
    "model_error",
    "internal_error",
    "own_shadow",
    "disconnected",
)
CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Counters of one process. Handlers add to the public attributes; `render` writes them out."""

    def __init__(
        self, info: Mapping[str, str], quality: float | None, bins: FeatureBins, payloads: Mapping[str, int]
    ) -> None:
        self.connections: Callable[[], int] = lambda: 0
        self.shadow: Comparison | None = None
        self.info = dict(info)
        self._payloads = payloads
        self.quality = quality
        self.bins = bins
        self.predicted = 0
        self.failed = 0
        self.in_flight = 0
        self.requests: dict[tuple[str, int], int] = {}
        self.errors = dict.fromkeys(ERROR_REASONS, 0)
        self._durations = [0] * (len(BUCKETS_S) + 1)
        self._duration_sum = 0.0
        self._started = time.time()

    def observe(self, seconds: float) -> None:
        """One prediction request that was not refused took this long, from its header to its answer."""
        self._durations[bisect_left(BUCKETS_S, seconds)] += 1
        self._duration_sum += seconds

    def count(self, route: str, status: int) -> None:
        """One request to a route template was answered."""
        key = (route, status // 100)
        self.requests[key] = self.requests.get(key, 0) + 1

    def render(self) -> bytes:
        """Everything in Prometheus' text format 0.0.4."""
        return "".join(self._families()).encode()

    def _families(self) -> Iterator[str]:
        version = {"version": self.info["version"]}
        base = {"model": self.info["model"], **version}
        rows = ((base | {"outcome": "ok"}, self.predicted), (base | {"outcome": "error"}, self.failed))
        yield _family("ml_predictions_total", "counter", "Rows predicted (ok) or lost to a model error (error).", rows)
        yield _histogram(
            "ml_prediction_duration_seconds",
            "Seconds from the headers of a prediction request to its answer.",
            [(version, BUCKETS_S, self._durations, self._duration_sum)],
        )
        requests = (
            ({"route": route, "code": f"{code}xx", **version}, n) for (route, code), n in sorted(self.requests.items())
        )
        yield _family("ml_requests_total", "counter", "Requests by route and status class.", requests)
        errors = (({"reason": reason, **version}, n) for reason, n in self.errors.items())
        yield _family("ml_prediction_errors_total", "counter", "Requests refused or failed.", errors)
        yield _family("ml_in_flight", "gauge", "Prediction requests being answered.", [({}, self.in_flight)])
        yield _family("ml_connections", "gauge", "Open connections.", [({}, self.connections())])
        payloads = (({"outcome": outcome}, n) for outcome, n in self._payloads.items())
        yield _family("ml_payload_log_total", "counter", "Sampled requests, logged or not.", payloads)
        yield _family("ml_model_info", "gauge", "The release that answers.", [(self.info, 1)])
        if self.quality is not None:
            help_text = "Offline test accuracy (r2 for regression) from the release record."
            yield _family("ml_model_accuracy", "gauge", help_text, [(version, self.quality)])
        counted = (
            ({"feature": feature, "bin": label, **version}, n)
            for feature, counts in self.bins.counts()
            for label, n in counts
        )
        yield _family("ml_feature_bin_total", "counter", "Live inputs in the bins of the reference.", counted)
        answered = (
            ({"output": output, "bin": label, **version}, n)
            for output, counts in self.bins.answers()
            for label, n in counts
        )
        yield _family("ml_prediction_bin_total", "counter", "Live answers in the bins of the reference.", answered)
        if self.shadow is not None:
            yield from self._mirrored(self.shadow)
        yield from self._process()

    def _mirrored(self, shadow: Comparison) -> Iterator[str]:
        version = {"version": self.info["version"]}
        requests = (({**version, **labels}, n) for labels, n in shadow.requests())
        help_text = "Mirrored requests: answered alike by the other slot (against) or not, failed, or not sent."
        yield _family("ml_shadow_requests_total", "counter", help_text, requests)
        rows = (({**version, **labels}, n) for labels, n in shadow.rows())
        yield _family("ml_shadow_rows_total", "counter", "Rows of mirrored requests by the other slot's answer.", rows)
        help_text = "How far the other slot's probability of the same answer is away; of numbers, by their scale."
        differences = [
            (version | {"against": against}, BOUNDS, found.differences, found.difference_sum)
            for against, found in shadow.counts.items()
        ]
        yield _histogram("ml_shadow_difference", help_text, differences)

    def _process(self) -> Iterator[str]:
        usage = os.times()
        yield _family("process_start_time_seconds", "gauge", "Start of the process.", [({}, self._started)])
        cpu = usage.user + usage.system
        yield _family("process_cpu_seconds_total", "counter", "Processor time used.", [({}, cpu)])
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        resident = pages * os.sysconf("SC_PAGE_SIZE")
        yield _family("process_resident_memory_bytes", "gauge", "Resident memory.", [({}, resident)])


def _family(name: str, kind: str, help_text: str, samples: Iterable[tuple[Mapping[str, str], float]]) -> str:
    lines = [f"# HELP {name} {help_text}\n# TYPE {name} {kind}\n"]
    lines += [f"{name}{_labels(labels)} {value!r}\n" for labels, value in samples]
    return "".join(lines)


Series = tuple[Mapping[str, str], Sequence[float], Sequence[int], float]
"""Labels, upper bounds, observations in each bucket and above, and their sum."""


def _histogram(name: str, help_text: str, series: Iterable[Series]) -> str:
    lines = [f"# HELP {name} {help_text}\n# TYPE {name} histogram\n"]
    for labels, bounds, counts, total in series:
        below = 0
        for bound, count in zip((*(f"{bound:g}" for bound in bounds), "+Inf"), counts, strict=True):
            below += count
            lines.append(f"{name}_bucket{_labels({**labels, 'le': bound})} {below}\n")
        lines.append(f"{name}_sum{_labels(labels)} {total!r}\n{name}_count{_labels(labels)} {below}\n")
    return "".join(lines)


def _labels(labels: Mapping[str, str]) -> str:
    pairs = ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
