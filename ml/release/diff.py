"""What changed from one release to another. Pure; for people, nothing decides by it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ml.gate.metrics import METRICS, is_number

_ABSENT: Final = "-"
_TEXT_LIMIT: Final = 60
# Section of the table -> path in the record. What is made anew each time (digest, time, hashes of files) says nothing.
_SECTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "gate": ("gate", "verdict"),
    "policy": ("gate", "policy"),
    "metrics": ("metrics",),
    "parameters": ("parameters",),
    "search": ("search",),
    "data": ("data",),
    "code": ("code",),
    "packages": ("environment",),
    "lock": ("lock_sha256",),
    "model": ("model",),
    "drift": ("drift", "features"),
    "scans": ("scans",),
}
_SMALL: Final = ("n_reference", "n_current", "missing_reference", "missing_current", "subject_sha256")
"""Fields that change with every month of data or every file, without a word for a reviewer in them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One value that is not the same; `-` stands where a release has none."""

    section: str
    name: str
    before: str
    after: str
    change: str
    """For numbers the difference, for metrics whether that is better."""


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """Every difference between two records of the right shape, in the order of the report's sections."""
    found = []
    for section, path in _SECTIONS.items():
        old, new = (dict(_flat(_at(record, path), ())) for record in (before, after))
        for key in sorted({**old, **new}):
            if key[-1:] and key[-1] in _SMALL:
                continue
            if old.get(key, _ABSENT) != new.get(key, _ABSENT) or (key in old) != (key in new):
                found.append(_change(section, key, old.get(key, _ABSENT), new.get(key, _ABSENT)))
    return found


def _at(record: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = record
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _flat(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flat(item, (*path, str(key)))
    elif value is not None:
        yield path, value


def _change(section: str, key: tuple[str, ...], old: Any, new: Any) -> Change:
    words = ""
    if is_number(old) and is_number(new):
        words = f"{new - old:+,}" if isinstance(old, int) and isinstance(new, int) else f"{new - old:+.4g}"
        if section == "metrics" and key[0] in METRICS:
            words += " better" if (new > old) == METRICS[key[0]].higher_is_better else " worse"
    return Change(section=section, name=".".join(key) or section, before=_words(old), after=_words(new), change=words)


def _words(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    text = str(value)
    return text if len(text) <= _TEXT_LIMIT else f"{text[:_TEXT_LIMIT]}…"
