"""A small checkout: the toolchain without packages, two tiny tools, and a `go` that does what a test says.

Commands run under the bare interpreter, as on an empty machine: an import of anything but the standard library fails.
"""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from toolchain import paths

GO = """#!/bin/sh
case "$1" in
env) echo "$FAKE_GO/modules"; echo "$FAKE_GO/compiled"; exit 0 ;;
esac
echo "$*" >> "$FAKE_GO/calls"
for argument; do
    if [ "$previous" = "-o" ]; then target="$argument"; fi
    previous="$argument"
done
case "$(cat "$FAKE_GO/mode")" in
hang) echo half > "$target"; touch "$FAKE_GO/started"; sleep 60 ;;
slow) sleep 2 ;;
fail) seq 1 40; echo "syntax error: unexpected newline" >&2; exit 1 ;;
full) echo "write /tmp/x: no space left on device" >&2; exit 1 ;;
wrong) printf '#!/bin/sh\\necho 9.9.9\\n' > "$target"; chmod +x "$target"; exit 0 ;;
esac
printf '#!/bin/sh\\necho version 1.0.0\\n' > "$target"; chmod +x "$target"
"""
PINS = """
python = "3.11"
uv = "1"
wheels = {}
[debian]
release = "bookworm"
host = {}
[tools.one]
version = "1.0.0"
sources = [SOURCES]
version_command = ["version"]
version_output = "version 1.0.0"
binaries = ["one"]
EXTRA
[tools.one.go]
module = "one"
package = "."
ldflags = "-X main.version={version}"
[tools.two]
version = "1.0.0"
sources = [SOURCES]
version_command = ["version"]
version_output = "version 1.0.0"
binaries = ["two"]
EXTRA
[tools.two.go]
module = "two"
package = "."
"""
ENSURE = """
import sys
from ml.errors import PipelineError
from toolchain import tools
from toolchain.display import Display
try:
    tools.ensure(sys.argv[1:], Display(interval_s=0.5))
except PipelineError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
"""


@dataclass
class Checkout:
    root: Path
    env: dict[str, str] = field(default_factory=dict)

    @property
    def cache(self) -> Path:
        return Path(self.env["MLP_CACHE"])

    @property
    def go(self) -> Path:
        return Path(self.env["FAKE_GO"])

    def link(self, name: str) -> Path:
        return self.root / ".venv" / "bin" / name

    def pins(self, sources: str = '"go"', extra: str = "") -> None:
        text = PINS.replace("SOURCES", sources).replace("EXTRA", extra)
        (self.root / "toolchain" / "pins.toml").write_text(text)

    def mode(self, mode: str) -> None:
        (self.go / "mode").write_text(mode)

    def calls(self) -> list[str]:
        file = self.go / "calls"
        return file.read_text().splitlines() if file.exists() else []

    def start(self, *names: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [bare_python(), "-c", ENSURE, *names],
            cwd=self.root,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def ensure(self, *names: str, code: int = 0) -> str:
        process = self.start(*names)
        said, _ = process.communicate(timeout=60)
        assert process.returncode == code, said
        return said

    def python(self, code: str, **options: object) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [bare_python(), "-c", code],
            cwd=self.root,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            **options,
        )


def kill(process: "subprocess.Popen[str]") -> None:
    """Kill a process and everything it started, as a reboot would."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def bare_python() -> str:
    """The interpreter below the environment, without the environment's packages."""
    return str(Path(sys.base_prefix) / "bin" / "python3.11")


def make(folder: Path) -> Checkout:
    root = folder / "checkout"
    source = paths.repo_root()
    ignore = shutil.ignore_patterns("cluster", "plugins", "__pycache__", "go.mod", "go.sum", "*.go")
    shutil.copytree(source / "toolchain", root / "toolchain", ignore=ignore)
    for name in ("__init__.py", "errors.py"):
        (root / "ml").mkdir(exist_ok=True)
        shutil.copy(source / "ml" / name, root / "ml" / name)
    for name in ("one", "two"):
        module = root / "toolchain" / "tools" / name
        module.mkdir(exist_ok=True)
        (module / "go.mod").write_text(f"module {name}\n")
    fake = folder / "go"
    (fake / "bin").mkdir(parents=True)
    for name in ("modules", "compiled"):
        (fake / name).mkdir()
    (fake / "bin" / "go").write_text(GO)
    (fake / "bin" / "go").chmod(0o755)
    env = {
        "PATH": f"{fake / 'bin'}:/usr/bin:/bin",
        "HOME": str(folder / "user"),
        "MLP_HOME": str(folder / "home"),
        "MLP_CACHE": str(folder / "cache"),
        "FAKE_GO": str(fake),
    }
    made = Checkout(root, env)
    made.pins()
    made.mode("ok")
    return made
