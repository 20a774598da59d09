"""Small files, small functions. Over budget: split it."""

import pytest

from tests.meta.tree import ROOT, files, source, text

FILE_LINES = 300
FUNCTION_LINES = 40
INIT_LINES = 80  # a component's __init__ lists resources


def _lines(name: str) -> int:
    return text(name).count("\n")


def test_every_file_is_within_budget() -> None:
    offenders = [
        f"{name}: {_lines(name)} lines, at most {FILE_LINES}" for name in files(".py") if _lines(name) > FILE_LINES
    ]

    assert not offenders, "\n" + "\n".join(offenders)


def test_every_function_is_within_budget() -> None:
    offenders = []
    for name in files(".py"):
        for function in source(name).functions:
            length = function.last - function.first + 1
            budget = INIT_LINES if function.name == "__init__" else FUNCTION_LINES
            if length > budget:
                offenders.append(f"{name}:{function.first}: {function.name} has {length} lines, at most {budget}")

    assert not offenders, "\n" + "\n".join(offenders)


@pytest.mark.parametrize("limit_mib", [2])
def test_no_file_is_too_large_for_git(limit_mib: int) -> None:
    """Models are committed (docs/adr/0010); what is larger belongs into an object store."""
    offenders = [name for name in files() if (ROOT / name).stat().st_size > limit_mib * 2**20]

    assert not offenders, "\n" + "\n".join(offenders)
