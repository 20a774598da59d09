"""Every test runs, and can fail."""

import ast
import re

from tests.meta.tree import files, nodes, parsed, python, source, text


def test_every_test_stands_where_pytest_looks_for_it() -> None:
    offenders = [
        f"{name}: {function.name}"
        for name in files(".py")
        for function in source(name).functions
        if function.name.startswith("test_") and not re.fullmatch(r"tests/(.+/)?test_[a-z0-9_]+\.py", name)
    ]

    assert not offenders, "\n" + "\n".join(offenders)


def test_no_two_tests_of_a_file_share_a_name() -> None:
    offenders = []
    for name in python("tests"):
        names = [function.name for function in source(name).functions if function.indent == 0]
        offenders += [f"{name}: {test}" for test in sorted({n for n in names if names.count(n) > 1})]

    assert not offenders, "\n" + "\n".join(offenders)


def test_nothing_is_skipped_or_expected_to_fail() -> None:
    marks = re.compile(r"pytest\.(mark\.)?(" + "skip|xfail|importorskip" + ")")
    offenders = [name for name in python("tests") if marks.search(text(name))]

    assert not offenders, "\n" + "\n".join(offenders)


def _asserting(tree: ast.Module) -> set[str]:
    return {
        node.name
        for node in nodes(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and any(isinstance(inner, ast.Assert) for inner in nodes(node))
    }


def _is_blind(call: ast.Call, asserting: set[str]) -> bool:
    """`.apply(f)` where f asserts: on an unknown output f never runs, so the test passes without having looked."""
    if not (isinstance(call.func, ast.Attribute) and call.func.attr == "apply"):
        return False
    used = {node.id for argument in call.args for node in ast.walk(argument) if isinstance(node, ast.Name)}
    return bool(used & asserting)


def _blind(tree: ast.Module) -> list[int]:
    """Lines of all such calls."""
    asserting = _asserting(tree)
    return [node.lineno for node in nodes(tree) if isinstance(node, ast.Call) and _is_blind(node, asserting)]


def test_no_assertion_hides_in_an_apply() -> None:
    offenders = [
        f"{name}:{line}"
        for name in python("tests")
        if not name.endswith("conftest.py") and any(method == "apply" for _, method in source(name).calls)
        for line in _blind(parsed(name))
    ]

    assert not offenders, "\n" + "\n".join(offenders)


def test_the_search_for_blind_assertions_would_find_one() -> None:
    tree = ast.parse("def check(v):\n    assert v == 1\n\ndef test_x(o):\n    o.apply(lambda v: check(v))\n")

    assert _blind(tree) == [5]
