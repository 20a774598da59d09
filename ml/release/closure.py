"""Which of our source files a program needs: the closure of its `ml.*` imports, read from the source.

Pure but for reading the files. Nothing is imported, so building an image's context needs none of its libraries.
"""

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from ml.errors import ConfigError


def source_files(root: Path, entries: Iterable[str]) -> list[Path]:
    """Files that the modules and packages in `entries` need, relative to `root`, sorted.

    A package among the entries stands for all its modules. Imports inside functions count as well: they may run.

    Raises:
        ConfigError: If a module that is imported does not exist.
    """
    waiting = [module for entry in entries for module in _members(root, entry)]
    found: dict[str, Path] = {}
    while waiting:
        module = waiting.pop()
        if module in found:
            continue
        path = _path_of(root, module)
        if path is None:
            raise ConfigError("ML-REL-005", f"module {module!r} is imported and does not exist", "correct the import")
        found[module] = path
        waiting += _imports(root, module, path)
    return sorted({path.relative_to(root) for path in found.values()})


def _members(root: Path, entry: str) -> Iterator[str]:
    yield entry
    folder = root.joinpath(*entry.split("."))
    if folder.is_dir():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _path_of(root: Path, module: str) -> Path | None:
    base = root.joinpath(*module.split("."))
    candidates = (base / "__init__.py", base.with_suffix(".py"))
    return next((path for path in candidates if path.is_file()), None)


def _imports(root: Path, module: str, path: Path) -> Iterator[str]:
    """Our modules that a file imports, and the packages around them and around itself."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    yield from _parents(module)
    for node in _nodes(path.resolve(), path.stat().st_mtime_ns):
        for name in _names(root, node, package):
            if name.partition(".")[0] == module.partition(".")[0]:
                yield name
                yield from _parents(name)


@cache
def _nodes(path: Path, changed: int) -> tuple[ast.stmt, ...]:  # noqa: ARG001  (a file that has changed is another one)
    """The imports in a file: several images carry the same modules, and parsing is most of what their contexts cost."""
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    return tuple(node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom))


def _parents(module: str) -> Iterator[str]:
    parts = module.split(".")
    for length in range(1, len(parts)):
        yield ".".join(parts[:length])


def _names(root: Path, node: ast.AST, package: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*above, base] if base else above)
        yield base
        # `from ml.release import record` names a module, `from ml.errors import GateError` does not.
        yield from (
            f"{base}.{alias.name}" for alias in node.names if _path_of(root, f"{base}.{alias.name}") is not None
        )
