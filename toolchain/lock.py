"""Compiles the lock files: the project's own, the bootstrap's, and one for each image that has a `requirements.in`."""

import os
from pathlib import Path

from toolchain import bootstrap, paths, pins, run
from toolchain.display import Display

HEADER = "# The installer of everything else; hashes of every platform's wheel. Written by: make lock\n"


def compile_all(display: Display) -> None:
    """Resolve again what the direct dependencies ask for, with hashes.

    Raises:
        SurroundingsError: The resolution failed; the log's end is shown.
    """
    root = paths.repo_root()
    jobs = [(["pyproject.toml", "--extra", "dev"], root / "requirements.txt")]
    # Images take their versions from the project's own lock: client and server, training and serving agree.
    images = sorted(file.relative_to(root) for file in root.glob("images/*/requirements.in"))
    jobs += [([str(file), "-c", "requirements.txt"], root / file.with_suffix(".txt")) for file in images]
    for sources, target in jobs:
        with display.task(str(target.relative_to(root)), "resolving"):
            _compile(sources, target, ["--custom-compile-command", "make lock"])
    with display.task("bootstrap-requirements.txt", "resolving"):
        wanted = paths.scratch() / "bootstrap.in"
        wanted.write_text(f"uv=={pins.load().uv}\n")
        target = root / "toolchain" / "bootstrap-requirements.txt"
        _compile([str(wanted)], target, ["--no-header", "--no-annotate", "--universal"])
        target.write_text(HEADER + target.read_text())


def _compile(sources: list[str], target: Path, options: list[str]) -> None:
    log = paths.cache() / "logs" / "lock.log"
    log.unlink(missing_ok=True)
    command = [str(bootstrap.uv()), "pip", "compile", "--quiet", "--generate-hashes", *options]
    command += ["--python", str(paths.venv_bin() / "python"), *sources, "-o", str(target)]
    env = bootstrap.certificates(dict(os.environ))
    run.logged(command, log, code="ML-HOST-003", what=f"resolving {target.name}", cwd=paths.repo_root(), env=env)
