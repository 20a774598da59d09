"""Checks dead letters again after a correction of the contract; those that pass are handed back as one file.

The file is named by its content and written before the letters leave the store: a replay that was killed in between
writes the very same file when it is run again.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pyarrow as pa

from ml.data import snapshots
from ml.data.cells import Cells
from ml.data.checker import Checker
from ml.data.letters import Content, DeadLetters, Letter, again
from ml.data.read import typed
from ml.problem import Problem


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """What became of the letters; `passed + dropped + failed + passed_over` is all of them."""

    passed: int
    dropped: int
    failed: int
    passed_over: int
    file: Path | None


def replay(problem: Problem, store: DeadLetters, out: Path, *, now: datetime, everything: bool = False) -> Replayed:
    """Check every letter that is not permanently failing.

    Args:
        problem: Its contract as it is now.
        store: Holds the letters.
        out: Folder for the rows that pass.
        now: The moment of this attempt.
        everything: Also the permanently failing ones.

    Raises:
        DataError: If the store is damaged or something cannot be written.
    """
    moment = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    before = store.read()
    tried = [each for each in before.letters.values() if everything or not each.permanent]
    result = _checked(problem, tried)
    file = None
    if result.passed:
        file = snapshots.write(pd.concat(result.accepted), out, source=f"replay of {problem.name}")[1]
    if tried:
        store.change(lambda content: _after(content, result, moment))
    return Replayed(
        passed=len(result.passed),
        dropped=len(result.dropped),
        failed=len(result.causes),
        passed_over=len(before.letters) - len(tried),
        file=file,
    )


def _after(content: Content, result: "_Result", moment: str) -> Content:
    """The store without what passed or was dropped, and one more attempt for the others."""
    letters = {name: each for name, each in content.letters.items() if name not in result.passed | result.dropped}
    failed = {name: causes for name, causes in result.causes.items() if name in letters}
    letters |= {name: again(letters[name], causes, moment) for name, causes in failed.items()}
    resolved = content.counts.resolved + len(content.letters) - len(letters)
    return Content(counts=msgspec.structs.replace(content.counts, resolved=resolved), letters=letters)


@dataclass(kw_only=True)
class _Result:
    """Rows that passed; id -> causes of what failed again; ids of what left the store."""

    accepted: list[pd.DataFrame] = field(default_factory=list)
    causes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    passed: set[str] = field(default_factory=set)
    dropped: set[str] = field(default_factory=set)


def _checked(problem: Problem, letters: Sequence[Letter]) -> _Result:
    """Check letters, those of one file and form together: their times are written the same way."""
    names = list(dict.fromkeys([*problem.contract.schema.columns, *problem.key]))
    result, checker = _Result(), Checker(problem.contract, key=problem.key)
    groups: dict[tuple[str, bool, str], list[Letter]] = defaultdict(list)
    for each in letters:
        if each.cells is not None and set(names) <= set(each.cells):
            groups[each.source, each.raw, each.zone or ""].append(each)
        else:
            result.causes[each.id] = each.causes
    for (_, _, zone), some in sorted(groups.items()):
        _check_group(Cells(contract=problem.contract, zone=zone or None), checker, names, some, result)
    return result


def _check_group(
    cells: Cells, checker: Checker, names: Sequence[str], letters: Sequence[Letter], result: _Result
) -> None:
    arrays = [pa.array([_text(each.cells, name) for each in letters], pa.string()) for name in names]
    chunk = typed(cells, pa.record_batch(arrays, names=list(names)), range(len(letters)))
    found = checker.feed(chunk.table)
    result.accepted.append(found.accepted)
    failed = {bad.number: bad.codes for bad in chunk.bad}
    failed |= {int(str(index)): tuple(codes.split(",")) for index, codes in found.codes.items()}
    passed = set(found.accepted.index)
    for number, each in enumerate(letters):
        if number in failed:
            result.causes[each.id] = failed[number]
        else:
            (result.passed if number in passed else result.dropped).add(each.id)


def _text(cells: Mapping[str, Any] | None, name: str) -> str | None:
    value = None if cells is None else cells.get(name)
    return None if value is None else str(value)
