"""The salt of a stack's secrets, as its settings file says it: another machine's is dropped, the state's is taken."""

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

SALT: Final = re.compile(r"^encryptionsalt:.*\n?", re.MULTILINE)


def forget(settings: Path) -> None:
    """Drop the salt from the settings; with no encrypted value in them it protects nothing."""
    _write(settings, "")


def adopt(settings: Path, stack: str, env: Mapping[str, str]) -> None:
    """Give the settings the salt of the stack's secrets, which the state remembers.

    A fresh checkout has none, or that of another machine's stack, committed. With none the CLI would draw another one;
    either way it would then call the passphrase incorrect.
    """
    done = subprocess.run(
        ["pulumi", "stack", "export", "--stack", stack, "--non-interactive"], cwd=settings.parent, env=env,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:  # there is no such stack yet
        return
    provider = (json.loads(done.stdout).get("deployment") or {}).get("secrets_providers") or {}
    if provider.get("type") == "passphrase":
        _write(settings, f"encryptionsalt: {provider['state']['salt']}\n")


def _write(settings: Path, line: str) -> None:
    """Put the line in the place of the salt's; values that were encrypted with another one keep theirs."""
    text = settings.read_text() if settings.exists() else ""
    found = SALT.search(text)
    if (found[0] if found else "") == line or (found and "secure:" in text):
        return
    rest = SALT.sub("", text).rstrip()
    settings.write_text(f"{rest}\n{line}".lstrip())
