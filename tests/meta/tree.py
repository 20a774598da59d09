"""The tree as git sees it: tracked and new files, parsed once. For the meta-tests."""

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

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
def text(name: str) -> str:
    return (ROOT / name).read_text(errors="ignore")


def parsed(name: str) -> ast.Module:
    return ast.parse((ROOT / name).read_text(), filename=name)


def nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node, as `ast.walk`, but parents first, and in a third of its time."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for value in vars(node).values():
            if isinstance(value, ast.AST):
                waiting.append(value)
            elif isinstance(value, list):
                waiting += [item for item in value if isinstance(item, ast.AST)]


class Function(NamedTuple):
    """Where a function stands; `indent` is 0 at the top of a file."""

    name: str
    first: int
    last: int
    indent: int


@dataclass(frozen=True)
class Source:
    """What the rules ask of a file. Its tree, a hundred times as large, would live until the end."""

    imports: frozenset[str]
    """Dotted names that it imports, wherever in it; `from a import b` counts as `a.b`."""
    functions: tuple[Function, ...]
    strings: tuple[tuple[int, str], ...]
    """Line and value of each that is no docstring (nor stands alone as a statement, for an attribute)."""
    names: tuple[tuple[int, str], ...]
    """Line of each variable that it uses, and of each import, with its words."""
    calls: tuple[tuple[int, str], ...]
    """Line and name of each method that it calls."""


@cache
def source(name: str) -> Source:
    """Parse a file, once."""
    found = _Reader()
    for node in nodes(parsed(name)):
        found.read(node)
    return Source(
        frozenset(found.imports), tuple(found.functions), tuple(found.strings), tuple(found.names), tuple(found.calls)
    )


class _Reader:
    def __init__(self) -> None:
        self.imports: set[str] = set()
        self.functions: list[Function] = []
        self.strings: list[tuple[int, str]] = []
        self.names: list[tuple[int, str]] = []
        self.calls: list[tuple[int, str]] = []
        self.alone: set[ast.expr] = set()

    def read(self, node: ast.AST) -> None:
        match node:
            case ast.Name():
                self.names.append((node.lineno, node.id))
            case ast.Constant(value=str(value)) if node not in self.alone:
                self.strings.append((node.lineno, value))
            case ast.Call(func=ast.Attribute(attr=attr)):
                self.calls.append((node.lineno, attr))
            case ast.Expr():
                self.alone.add(node.value)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                last = node.end_lineno or node.lineno
                self.functions.append(Function(node.name, node.lineno, last, node.col_offset))
            case ast.Import() | ast.ImportFrom():
                self._import(node)

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        names = [alias.name for alias in node.names]
        module = node.module if isinstance(node, ast.ImportFrom) else None
        self.names.append((node.lineno, " ".join([module or "", *names])))
        if isinstance(node, ast.Import):
            self.imports.update(names)
        elif module and not node.level:
            self.imports.update(f"{module}.{name}" for name in names)


def within(dotted: str, package: str) -> bool:
    return dotted == package or dotted.startswith(f"{package}.")


@cache
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


@cache
def closure(name: str) -> frozenset[str]:
    """A file and every file of ours that it imports, directly or not."""
    seen: set[str] = set()
    queue = [name]
    while queue:
        current = queue.pop()
        if current not in seen:
            seen.add(current)
            queue += [found for dotted in source(current).imports if (found := own_file(dotted)) is not None]
    return frozenset(seen)
