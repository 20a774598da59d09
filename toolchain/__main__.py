"""`python3 -m toolchain`: checks the interpreter, then hands over to `toolchain.command`.

This file must be readable by every Python since 2.7: it is what tells the user of an old one what to do.
"""

import os
import sys

WANTED = (3, 11)
NAME = "python%d.%d" % WANTED  # noqa: UP031  (an old Python has no f-strings)


def find(name):  # noqa: ANN001, ANN201  (an old Python has no annotations)
    # type: (str) -> str | None
    """Return the path of a program on PATH, or None."""
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        path = os.path.join(folder, name)  # noqa: PTH118  (an old Python has no pathlib)
        if folder and os.access(path, os.X_OK):
            return path
    return None


def main():  # noqa: ANN201  (an old Python has no annotations)
    # type: () -> int
    """Run the command, with another interpreter if this one is the wrong one."""
    if sys.version_info[:2] == WANTED:
        from toolchain.command import main as run  # noqa: PLC0415  (an old Python cannot read it)

        return run(sys.argv[1:])
    other = find(NAME)
    if other and os.environ.get("MLP_PYTHON_TRIED") != other:
        os.environ["MLP_PYTHON_TRIED"] = other
        sys.stdout.flush()
        os.execv(other, [other, "-m", "toolchain"] + sys.argv[1:])  # noqa: S606, RUF005  (no shell; old syntax)
    sys.stderr.write(
        "ML-HOST-001: this is Python %d.%d; the pipeline needs Python %d.%d and there is no %s on PATH\n"  # noqa: UP031
        "  Fix: apt-get install python3.11 python3.11-venv, or pyenv install 3.11; then the same command\n"
        % (sys.version_info[0], sys.version_info[1], WANTED[0], WANTED[1], NAME)
    )
    return 6


if __name__ == "__main__":
    sys.exit(main())
