"""Reads configuration values into types and collects every problem instead of stopping at the first.

Pure: knows neither pulumi nor what the keys mean; `infra.settings` says that. A value comes as text (a plain key of
the stack file) or as the JSON value inside an object key, so `3` and `"3"` are the same integer.
"""

import difflib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar, cast

T = TypeVar("T", bound=str)

_CPU: Final = re.compile(r"(?:([0-9]{1,9})m|([0-9]{1,9}(?:\.[0-9]{1,9})?))")
_BYTES: Final = re.compile(r"([0-9]{1,18})(Ki|Mi|Gi|Ti)?")
_UNITS: Final = {None: 1, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def cpu_cores(quantity: str) -> float | None:
    """A CPU quantity (`250m`, `1`, `0.5`) in cores; None when it is not one or is zero."""
    found = _CPU.fullmatch(quantity)
    if found is None:
        return None
    cores = int(found[1]) / 1000 if found[1] else float(found[2])
    return cores if cores > 0 else None


def size_bytes(quantity: str) -> int | None:
    """A size (`512Mi`, `1Gi`) in bytes; None when it is not one or is zero."""
    found = _BYTES.fullmatch(quantity)
    if found is None:
        return None
    size = int(found[1]) * _UNITS[cast("str | None", found[2])]
    return size if size > 0 else None


def as_number(got: object) -> float | None:
    """A finite number, which may come as text; None for anything else."""
    if isinstance(got, bool) or not isinstance(got, (str, int, float)):
        return None
    try:
        number = float(got)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def as_word(got: object) -> object:
    """`true` and whole numbers as they were typed; anything else as it is."""
    return str(got).lower() if isinstance(got, (bool, int)) else got


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What a text must look like: a pattern for the machine, words and an example for the person."""

    pattern: str
    words: str
    example: str


CPU_RULE: Final = Rule(pattern=_CPU.pattern, words="a CPU quantity such as 250m", example="250m")
DNS_LABEL: Final = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
"""RFC 1123: what most objects of Kubernetes are named by."""
NAME_RULE: Final = Rule(
    pattern=r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?",
    words="lower-case letters, digits and dashes, at most 40",
    example="june",
)
"""What a person calls a study or a run; a part of an object's name."""
SIZE_RULE: Final = Rule(pattern=_BYTES.pattern, words="a size such as 512Mi", example="512Mi")


@dataclass
class Reader:
    """One level of the configuration: the project's keys, or the inside of one object key."""

    values: Mapping[str, object]
    stack: str
    path: str = ""
    problems: list[str] = field(default_factory=list)
    _asked: set[str] = field(default_factory=set)

    def problem(self, key: str, got: object, rule: str, example: str) -> None:
        """Note that `key` breaks `rule`; `example` is a value that would be right."""
        option = "--path " if self.path else ""
        fix = f"pulumi config set --stack {self.stack} {option}'{self.path}{key}' {example}"
        self.problems.append(f"ml-pipeline:{self.path}{key}: got {got!r}; must be {rule}. Fix: {fix}")

    def text(self, key: str, default: str, rule: Rule) -> str:
        """A text that matches `rule` as a whole; empty is "not set" where the default is empty."""
        return self._matching(key, self._take(key), default, rule)

    def word(self, key: str, default: str, rule: Rule) -> str:
        """A text that YAML may have made `true` or a number of, such as the value of a label."""
        return self._matching(key, as_word(self._take(key)), default, rule)

    def _matching(self, key: str, got: object, default: str, rule: Rule) -> str:
        if got is None or (got == default and default == ""):
            return default
        if not isinstance(got, str) or re.fullmatch(rule.pattern, got) is None:
            self.problem(key, got, rule.words, rule.example)
            return default
        return got

    def optional_text(self, key: str, rule: Rule) -> str | None:
        """A text that matches `rule`; None when the key is not there. An empty text is a problem."""
        if key not in self.values:
            self._asked.add(key)
            return None
        return self.text(key, rule.example, rule)

    def quantity(self, key: str, default: str, rule: Rule) -> str:
        """A CPU or memory quantity above zero; `1` may come as a number."""
        got = self._take(key)
        if got is None:
            return default
        text = str(got) if isinstance(got, (str, int, float)) and not isinstance(got, bool) else ""
        amount = cpu_cores(text) if rule is CPU_RULE else size_bytes(text)
        if amount is None:
            self.problem(key, got, f"{rule.words}, above zero", rule.example)
            return default
        return text

    def choice(self, key: str, default: T, allowed: Sequence[T]) -> T:
        """One of a closed set of words."""
        got = self._take(key)
        if got is None:
            return default
        for one in allowed:
            if got == one:
                return one
        self.problem(key, got, f"one of {', '.join(allowed)}", allowed[0])
        return default

    def integer(self, key: str, default: int, *, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        return cast("int", self._integer(key, default, low, high))

    def optional_integer(self, key: str, *, low: int, high: int) -> int | None:
        """Like `integer`; None when the key is not there."""
        return self._integer(key, None, low, high)

    def _integer(self, key: str, default: int | None, low: int, high: int) -> int | None:
        got = self._take(key)
        if got is None:
            return default
        number = int(got) if isinstance(got, str) and re.fullmatch(r"-?\d{1,9}", got, re.ASCII) else got
        if isinstance(number, bool) or not isinstance(number, int) or not low <= number <= high:
            example = low if default is None else default
            self.problem(key, got, f"a whole number from {low} to {high}", str(example))
            return default
        return number

    def number(self, key: str, default: float, *, low: float, high: float) -> float:
        """A number from `low` to `high`, both included."""
        got = self._take(key)
        if got is None:
            return default
        number = as_number(got)
        if number is None or not low <= number <= high:
            self.problem(key, got, f"a number from {low:g} to {high:g}", f"{default:g}")
            return default
        return number

    def member(self, key: str, default: float, allowed: Sequence[float]) -> float:
        """One of a closed set of numbers."""
        got = self._take(key)
        if got is None:
            return default
        number = as_number(got)
        if number not in allowed:
            self.problem(key, got, f"one of {', '.join(f'{one:g}' for one in allowed)}", f"{default:g}")
            return default
        return cast("float", number)

    def flag(self, key: str, *, default: bool) -> bool:
        """`true` or `false`."""
        got = self._take(key)
        if got is None:
            return default
        if isinstance(got, bool):
            return got
        if got not in ("true", "false"):
            self.problem(key, got, "true or false", str(default).lower())
            return default
        return got == "true"

    def table(self, key: str) -> "Reader":
        """The inside of an object key; empty when the key is not there. Its problems land in this reader's list."""
        got = self._take(key)
        inside = self._object(got)
        if inside is None:
            self.problem(key, got, "an object", "'{}'")
            inside = {}
        return Reader(inside, self.stack, f"{self.path}{key}.", self.problems)

    def rows(self, key: str) -> "list[Reader] | None":
        """The objects of a list, each to be read like a table; None when the key is not there."""
        got = self._take(key)
        if got is None:
            return None
        inside = [self._object(one) for one in got] if isinstance(got, list) else [None]
        if None in inside:
            self.problem(key, got, "a list of objects", "'[]'")
        return [
            Reader(one, self.stack, f"{self.path}{key}[{index}].", self.problems)
            for index, one in enumerate(inside)
            if one is not None
        ]

    @staticmethod
    def _object(got: object) -> Mapping[str, object] | None:
        if got is None:
            return {}
        if isinstance(got, str):
            try:
                got = json.loads(got)
            except json.JSONDecodeError:
                return None
        if not isinstance(got, dict):
            return None
        return {str(key): value for key, value in got.items() if value is not None}

    def _take(self, key: str) -> object:
        self._asked.add(key)
        return self.values.get(key)

    def within(self, path: str) -> "Reader":
        """For a problem of a value that was read before, at `path` below this level."""
        return Reader({}, self.stack, f"{self.path}{path}.", self.problems)

    def finish(self, known: Sequence[str] = ()) -> None:
        """Note every key that nobody asked for and that is not in `known`: a misspelt key must not do nothing."""
        keys = self._asked | set(known)
        for key in sorted(set(self.values) - keys):
            near = difflib.get_close_matches(key, keys, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(keys))}."
            option = "--path " if self.path else ""
            self.problems.append(
                f"ml-pipeline:{self.path}{key}: unknown key, {hint} "
                f"Fix: pulumi config rm --stack {self.stack} {option}'{self.path}{key}'",
            )
