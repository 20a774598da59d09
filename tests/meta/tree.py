"""The tree as git sees it: tracked and new files, parsed once. For the meta-tests."""

import ast
import subprocess
from collections.abc import Iterator
from functools import cache

from tests.meta.commands import ROOT

PACKAGES = ("infra", "ml", "policies", "toolchain")


@cache
def files(suffix: str = "") -> tuple[str, ...]:
    """Paths relative to the repository, of what git tracks or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=True,
    ).stdout.split("\0")
    return tuple(sorted(name for name in listed if name.endswith(suffix) and (ROOT / name).is_file()))


def python(*folders: str) -> tuple[str, ...]:
    wanted = tuple(f"{folder}/" for folder in folders)
    return tuple(name for name in files(".py") if name.startswith(wanted))


@cache
def parsed(name: str) -> ast.Module:
    return ast.parse((ROOT / name).read_text(), filename=name)


@cache
def imports(name: str) -> frozenset[str]:
    """Dotted names that a file imports, wherever in it; `from a import b` counts as `a.b`."""
    found: set[str] = set()
    for node in ast.walk(parsed(name)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def within(dotted: str, package: str) -> bool:
    return dotted == package or dotted.startswith(f"{package}.")


def own_file(dotted: str) -> str | None:
    """The file of a module of ours that an import names (a name in a module counts as the module)."""
    parts = dotted.split(".")
    if parts[0] not in PACKAGES:
        return None
    for length in range(len(parts), 0, -1):
        stem = "/".join(parts[:length])
        for candidate in (f"{stem}.py", f"{stem}/__init__.py"):
            if (ROOT / candidate).is_file():
                return candidate
    return None


def closure(name: str) -> frozenset[str]:
    """A file and every file of ours that it imports, directly or not."""
    seen: set[str] = set()
    queue = [name]
    while queue:
        current = queue.pop()
        if current not in seen:
            seen.add(current)
            queue += [found for dotted in imports(current) if (found := own_file(dotted)) is not None]
    return frozenset(seen)


def functions(name: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(parsed(name)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def docstrings(tree: ast.Module) -> set[int]:
    """Identities of the constants that are docstrings (or stand alone as a statement, for an attribute)."""
    return {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
