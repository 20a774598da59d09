"""Whether the gate can judge by a policy at all. Pure, standard library only.

The shape of a policy is `ml/release/schema/policy.json`; this is what the rules themselves rely on, so that a policy in
a record that somebody wrote by hand ends in a refusal and not in a traceback.
"""

from collections.abc import Callable, Mapping
from typing import Any

from ml.gate.metrics import METRICS, is_count, is_number, mapping

Rule = Callable[[Any], bool]


def policy_problem(policy: object) -> str | None:
    """The first key of a policy that the gate cannot judge by; None when it can by all."""
    rules = mapping(policy)
    preset = rules.get("preset")
    if not isinstance(preset, str) or preset not in _PRESETS:
        return "preset"
    for path, rule in {**_ALWAYS, **_PRESETS[preset]}.items():
        value: Any = rules
        for key in path.split("."):
            value = mapping(value).get(key)
        if not rule(value):
            return path
    return None


def _flag(value: object) -> bool:
    return isinstance(value, bool)


def _share(value: object) -> bool:
    return is_number(value) and 0.0 <= value <= 1.0


def _between(low: float, high: float) -> Rule:
    return lambda value: is_number(value) and low < value < high


def _by_metric(rule: Rule) -> Rule:
    def fits(value: object) -> bool:
        return isinstance(value, Mapping) and all(name in METRICS and rule(item) for name, item in value.items())

    return fits


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _metrics(value: object) -> bool:
    return _texts(value) and isinstance(value, list) and all(item in METRICS for item in value)


def _drop(value: object) -> bool:
    return is_number(value) and value >= 0.0


def _waivers(value: object) -> bool:
    return isinstance(value, list) and all(
        all(isinstance(mapping(item).get(key), str) for key in ("rule", "of", "owner", "reason", "expires"))
        and ("stacks" not in item or _texts(item["stacks"]))
        for item in value
    )


_MARGIN = _between(0.0, 1e300)
_ALWAYS: Mapping[str, Rule] = {
    "floors": lambda value: bool(value) and _by_metric(is_number)(value),
    "min_test_rows": is_count,
    "drift.required": _flag,
    "drift.min_rows": lambda value: is_count(value) and value > 0,
    "drift.min_d": _share,
    "drift.alpha": _share,
    "drift.rule": lambda value: value in (None, "sound", "classic"),
    "scans.required": _texts,
    "scans.max_age_hours": lambda value: is_count(value) and value > 0,
    "scans.advisories.scans": _texts,
    "scans.advisories.max_age_days": is_count,
    "snapshot.required": _flag,
    "slices.min_rows": lambda value: is_count(value) and value > 1,
    "slices.alpha": _between(0.0, 0.5),
    "slices.margin": _MARGIN,
    "slices.relative_margin": _MARGIN,
    "slices.floors": _by_metric(is_number),
    "prediction_diff.max_flip_rate": _share,
    "runtime.max_p99_ms_1_row": _MARGIN,
    "runtime.max_model_bytes": _MARGIN,
    "runtime.max_peak_rss_mib": _MARGIN,
    "waivers": _waivers,
}
_PRESETS: Mapping[str, Mapping[str, Rule]] = {
    "sound": {
        "min_class_rows": is_count,
        "max_copied_share": _share,
        "comparison.alpha": _between(0.0, 0.5),
        "comparison.power": _between(0.5, 1.0),
        "comparison.margin": _MARGIN,
        "comparison.margins": _by_metric(_MARGIN),
        "comparison.relative_margins": _by_metric(_MARGIN),
    },
    "classic": {
        "classic.max_drop": _drop,
        "classic.max_drops": _by_metric(_drop),
        "classic.metrics": _metrics,
        "drift.rule": lambda value: value == "classic",
    },
}
