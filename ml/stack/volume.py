"""Files to and from a run's volume, by `kubectl exec` in a pod that is made for it and removed again."""

import hashlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from infra.cluster import Cluster
from ml.errors import SurroundingsError, UsageError

READY_S = 300
"""How long the pod may take to hold the volume; it may have to pull its image."""
_MODULE = ("python3", "-m", "ml.batch.volume")


@dataclass(frozen=True, kw_only=True)
class Kubectl:
    """The client of one namespace, on a cluster that somebody named."""

    cluster: Cluster
    namespace: str

    def command(self, *words: str) -> list[str]:
        """The command line."""
        search = f"{sys.prefix}/bin{os.pathsep}{os.environ.get('PATH', '')}"
        found = shutil.which("kubectl", path=search)
        if found is None:
            raise SurroundingsError("ML-CLUSTER-024", "kubectl is in none of .venv/bin and PATH", "make setup")
        where = (f"--kubeconfig={self.cluster.kubeconfig}", f"--context={self.cluster.context}")
        return [found, *where, f"--namespace={self.namespace}", *words]

    def run(self, *words: str, content: bytes | IO[bytes] = b"") -> bytes:
        """What it prints.

        Raises:
            SurroundingsError: `ML-CLUSTER-023` it fails, with its own words.
        """
        given: dict[str, Any] = {"input": content} if isinstance(content, bytes) else {"stdin": content}
        done = subprocess.run(self.command(*words), capture_output=True, check=False, **given)
        if done.returncode:
            raise _failed(words, done.stderr)
        answer: bytes = done.stdout
        return answer


@contextmanager
def reached(kubectl: Kubectl, manifest: Mapping[str, Any]) -> Iterator[str]:
    """The pod of the manifest, ready; removed whatever happens."""
    name = str(manifest["metadata"]["name"])
    kubectl.run("create", "-f", "-", content=json.dumps(manifest).encode())
    try:
        kubectl.run("wait", f"pod/{name}", "--for=condition=Ready", f"--timeout={READY_S}s")
        yield name
    finally:
        kubectl.run("delete", "pod", name, "--wait=false", "--ignore-not-found")


def pod_name() -> str:
    """A name that no other pod has."""
    return f"batch-files-{secrets.token_hex(4)}"


def put(kubectl: Kubectl, pod: str, file: Path, path: str) -> None:
    """Send a file; it appears on the volume whole, and is what it was.

    Raises:
        UsageError: `ML-BATCH-014` there is no such file.
        SurroundingsError: `ML-CLUSTER-023` the cluster fails, or has got something else.
    """
    try:
        with file.open("rb") as content:
            sha256 = hashlib.file_digest(content, "sha256").hexdigest()
        with file.open("rb") as content:  # once more: what reads it next is another process
            answer = kubectl.run("exec", "-i", pod, "--", *_MODULE, "put", path, content=content)
    except OSError as error:
        raise UsageError("ML-BATCH-014", f"{file}: cannot be read: {error.strerror}", "give a file") from error
    if json.loads(answer)["sha256"] != sha256:
        message = f"{file}: the volume has got something else: {answer.decode().strip()}"
        raise SurroundingsError("ML-CLUSTER-023", message, "run the same command again")


def get(kubectl: Kubectl, pod: str, path: str, folder: Path) -> Mapping[str, Any]:
    """Fetch a complete run into a new folder; its summary. Nothing is left when it fails.

    Raises:
        UsageError: `ML-BATCH-014` the folder is there already.
        SurroundingsError: `ML-CLUSTER-023` the cluster fails, or a file is not what the summary says.
    """
    if folder.exists():
        raise UsageError("ML-BATCH-014", f"{folder}: is there already", "--out another folder, or remove it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
        target = Path(scratch) / "run"
        target.mkdir()
        _extract(kubectl.command("exec", pod, "--", *_MODULE, "get", path), target)
        summary: Mapping[str, Any] = json.loads((target / "_summary.json").read_bytes())
        wrong = [name for name, sha256 in summary["files"].items() if _sha256(target / name) != sha256]
        if wrong:
            message = f"{', '.join(sorted(wrong)[:10])}: not what the run's summary says"
            raise SurroundingsError("ML-CLUSTER-023", message, "run the same command again")
        target.rename(folder)
    return summary


def _extract(command: Sequence[str], target: Path) -> None:
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=words)
        try:
            with process, tarfile.open(fileobj=process.stdout, mode="r|") as archive:
                archive.extractall(target, filter="data")
        except tarfile.TarError as error:
            words.seek(0)
            raise _failed(["exec"], words.read()) from error
        if process.returncode:
            words.seek(0)
            raise _failed(["exec"], words.read())


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _failed(words: Sequence[str], said: bytes) -> SurroundingsError:
    text = said.decode(errors="replace").strip()
    return SurroundingsError("ML-CLUSTER-023", f"kubectl {words[0]}: {text}", "kubectl get pods,events says more")
