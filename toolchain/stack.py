"""Runs the Pulumi CLI for one stack: passphrase, stack, locks of dead processes, and `up` with a deadline.

The CLI's own output is passed through; only what the user must act on outside of it becomes an error here.
"""

import collections
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml.errors import PipelineError, SurroundingsError, TransientError
from toolchain import checkpoints, environment, paths, providers, salts
from toolchain.pending import Pending, pending_creates

if TYPE_CHECKING:
    from toolchain.traffic import Known

UP_DEADLINE_S = 30 * 60.0
ENDING_S = 60.0
ASK_S = 30.0
WRONG_PASSPHRASE = "incorrect passphrase"  # noqa: S105  (words of the CLI)
NO_SPACE = "no space left on device"


class Stack:
    """One stack of this checkout."""

    def __init__(self, name: str, env: Mapping[str, str] | None = None, root: Path | None = None) -> None:
        self.name = name
        self.env = dict(env) if env is not None else environment.pulumi_env()
        self._root = root or paths.repo_root()

    @property
    def config_file(self) -> Path:
        """The stack's settings in the checkout."""
        return self._root / f"Pulumi.{self.name}.yaml"

    def prepare(self) -> None:
        """Make the passphrase, the backend's folder and the stack, when they are not there.

        Raises:
            SurroundingsError: `ML-HOST-008` when the passphrase does not fit, `ML-HOST-017` when the state is damaged.
        """
        self.require_whole_state()
        made = self._make_passphrase()
        backend = urllib.parse.urlsplit(self.env["PULUMI_BACKEND_URL"])
        if backend.scheme == "file":
            Path(backend.path).mkdir(parents=True, exist_ok=True)
        if made:
            salts.forget(self.config_file)
        salts.adopt(self.config_file, self.name, self.env)
        self.capture("stack", "select", "--create", self.name)

    def require_whole_state(self) -> None:
        """Refuse a damaged state before Pulumi reads it.

        Raises:
            SurroundingsError: `ML-HOST-017`, with the command that restores it.
        """
        files = checkpoints.of(self.env, self.name)
        if files is not None:
            files.require_whole()

    def clear_dead_lock(self) -> None:
        """Remove the lock of a Pulumi process of this machine that no longer runs.

        Raises:
            SurroundingsError: `ML-HOST-009` when its holder runs, or is another machine's.
        """
        locks = [json.loads(file.read_text()) for file in self._lock_files()]
        alive = [lock for lock in locks if not _is_dead(lock)]
        if alive:
            held = alive[0]
            message = f"stack {self.name} is in use by process {held.get('pid')} on {held.get('hostname')}"
            fix = f"wait for it; if it is gone for certain: pulumi cancel --yes --stack {self.name}"
            raise SurroundingsError("ML-HOST-009", message, fix)
        if locks:
            print(f"The lock of a Pulumi process that was killed is cleared: {locks[0].get('pid')}", flush=True)
            self.capture("cancel", "--yes", "--stack", self.name)

    def recover(self) -> None:
        """Undo what a Pulumi process that was killed has left: lock, processes, creations that nobody saw the end of.

        Raises:
            SurroundingsError: `ML-HOST-009` when a process holds the stack, `ML-HOST-017` when its state is damaged.
            PipelineError: `ML-HOST-010` when Pulumi cannot read the cluster.
        """
        self.require_whole_state()
        self.clear_dead_lock()
        abandoned = providers.end_abandoned(paths.venv_bin())
        if abandoned:
            print(f"Provider processes of a Pulumi that was killed are ended: {abandoned}", flush=True)
        begun = pending_creates(self._deployment())
        if not begun:
            return
        found = [one for one in begun if one.kind and self._begun("get", one, "--output=name")]
        print(f"An update was killed while it created {len(begun)} objects, {len(found)} of which exist", flush=True)
        for spare in (one for one in found if one.is_spare):
            self._begun("delete", spare)
        taken = [
            f"--import-pending-creates={word}"
            for one in found
            if not one.is_spare
            for word in (one.urn, one.provider_id)
        ]
        self.capture("refresh", "--yes", "--skip-preview", *taken, "--clear-pending-creates", "--stack", self.name)

    def read_traffic_again(self) -> None:
        """Let the state follow where the traffic was moved to without Pulumi, such as by an analysis.

        Raises:
            PipelineError: `ML-HOST-010` when Pulumi cannot read the cluster.
        """
        from toolchain.traffic import known_traffic  # noqa: PLC0415  (this module is read before the program's may be)

        known = known_traffic(self._deployment())
        if known is None:
            return
        slot = self._selected(known)
        if slot and slot != known.slot:
            print(f"The traffic was moved to slot {slot}; the state, which says {known.slot}, is read anew", flush=True)
            self.capture("refresh", "--yes", "--skip-preview", "--target", known.urn, "--stack", self.name)

    def _selected(self, known: "Known") -> str:
        """The slot that the live Service selects; empty when the cluster does not say, as the update then will."""
        done = self._kubectl("get", "service", known.name, "--namespace", known.namespace, "--output", known.path)
        return "" if done.returncode else done.stdout.strip()

    def _begun(self, verb: str, one: Pending, *options: str) -> str:
        """What kubectl prints about one object; empty when there is none."""
        where = ["--namespace", one.namespace] if one.namespace else []
        done = self._kubectl(verb, one.kind, one.name, *where, "--ignore-not-found", *options)
        if done.returncode:
            message = f"stack {self.name}: the cluster does not {verb} {one.kind} {one.provider_id}"
            raise SurroundingsError("ML-HOST-016", f"{message}: {done.stderr.strip()}", "kubectl get nodes")
        return done.stdout.strip()

    def _kubectl(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["kubectl", *arguments], env=self.env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False, timeout=ASK_S,
        )  # fmt: skip

    def _deployment(self) -> Mapping[str, Any]:
        """The state, as the CLI exports it."""
        exported = json.loads(self.capture("stack", "export", "--stack", self.name))
        deployment: Mapping[str, Any] = exported.get("deployment") or {}
        return deployment

    def up(self, policy_pack: Path | None, deadline_s: float = UP_DEADLINE_S) -> None:
        """`pulumi up` with the policy pack, its output passed through.

        Raises:
            PipelineError: `ML-HOST-010` when Pulumi fails; what failed stands in its output.
            TransientError: `ML-HOST-011` when it takes longer than the deadline.
        """
        command = ["pulumi", "up", "--yes", "--non-interactive", "--stack", self.name]
        command += ["--color", "always" if sys.stdout.isatty() else "never"]
        env = dict(self.env)
        if policy_pack is not None:
            command += ["--policy-pack", str(policy_pack)]
            # The variable would add the same pack a second time.
            env.pop("PULUMI_OPTION_POLICY_PACK", None)
        tail: collections.deque[str] = collections.deque(maxlen=40)
        with subprocess.Popen(
            command,
            cwd=self._root,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as child:
            watch = _Deadline(child, deadline_s)
            for line in child.stdout or ():
                print(line, end="", flush=True)
                tail.append(line)
            code = child.wait()
            watch.cancel()
        if watch.expired:
            message = f"pulumi up --stack {self.name} took longer than {deadline_s / 60:g} min and was interrupted"
            raise TransientError(
                "ML-HOST-011", message, "the same command goes on; `kubectl get pods -A` shows what waits"
            )
        self._check(code, "".join(tail), "up")

    def capture(self, *arguments: str) -> str:
        """Run a Pulumi command and return what it printed."""
        done = subprocess.run(
            ["pulumi", *arguments, "--non-interactive"], cwd=self._root, env=self.env, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, errors="replace", check=False,
        )  # fmt: skip
        said = done.stdout + done.stderr
        if done.returncode:
            self._check(done.returncode, said, " ".join(arguments[:2]), shown=False)
        return done.stdout

    def _check(self, code: int, said: str, what: str, *, shown: bool = True) -> None:
        if code == 0:
            return
        if WRONG_PASSPHRASE in said:
            raise self._wrong_passphrase()
        if NO_SPACE in said.lower():
            raise SurroundingsError(
                "ML-HOST-004", f"no space left on this machine during pulumi {what}", "free some space"
            )
        detail = "its output above names the reason" if shown else said.strip()
        message = f"pulumi {what} --stack {self.name} failed with exit code {code}: {detail}"
        raise PipelineError("ML-HOST-010", message)

    def _wrong_passphrase(self) -> SurroundingsError:
        file = self.env.get("PULUMI_CONFIG_PASSPHRASE_FILE", "")
        source = file if not self.env.get("PULUMI_CONFIG_PASSPHRASE") else "the variable PULUMI_CONFIG_PASSPHRASE"
        message = f"the passphrase from {source} does not open the secrets of stack {self.name!r}"
        fix = "export PULUMI_CONFIG_PASSPHRASE_FILE=<the file with the passphrase this stack was made with>"
        return SurroundingsError("ML-HOST-008", message, fix)

    def _make_passphrase(self) -> bool:
        """Write a random passphrase if ours is the file in use and it is not there."""
        file = paths.home() / "passphrase"
        if self.env.get("PULUMI_CONFIG_PASSPHRASE") or self.env.get("PULUMI_CONFIG_PASSPHRASE_FILE") != str(file):
            return False
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return False
        with os.fdopen(descriptor, "w") as out:
            out.write(secrets.token_urlsafe(32))
        return True

    def _lock_files(self) -> list[Path]:
        backend = urllib.parse.urlsplit(self.env["PULUMI_BACKEND_URL"])
        if backend.scheme != "file":
            return []
        return sorted(Path(backend.path, ".pulumi", "locks").glob(f"**/{self.name}/*.json"))


class _Deadline:
    """Interrupts a child when its time is up: once so that it ends in order, then for good."""

    def __init__(self, child: "subprocess.Popen[str]", seconds: float) -> None:
        self.expired = False
        self._child = child
        self._timers = [threading.Timer(seconds, self._interrupt), threading.Timer(seconds + ENDING_S, child.kill)]
        for timer in self._timers:
            timer.daemon = True
            timer.start()

    def cancel(self) -> None:
        """The child has ended."""
        for timer in self._timers:
            timer.cancel()

    def _interrupt(self) -> None:
        self.expired = True
        self._child.send_signal(signal.SIGINT)


def _is_dead(lock: Mapping[str, object]) -> bool:
    """Whether the lock's holder is a process of this machine that no longer runs."""
    if lock.get("hostname") != socket.gethostname():
        return False
    pid = lock.get("pid")
    return not (isinstance(pid, int) and Path("/proc", str(pid)).exists())
