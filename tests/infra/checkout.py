"""A repository of a test's own for the program to stand in, and the program."""

import hashlib
import runpy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ml.release import store
from ml.release.example import example_bytes
from tests.ml.release.signing import sign_folder

CHECKOUT = Path(__file__).parents[2]
KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: test
clusters: [{name: test, cluster: {server: "https://127.0.0.1:1"}}]
contexts: [{name: test, context: {cluster: test, user: test}}]
users: [{name: test, user: {}}]
"""


class Checkout:
    """A checkout of its own: our images and code, releases made for the test, and what the toolchain would build."""

    def __init__(self, root: Path) -> None:
        self.root = root
        shutil.copytree(CHECKOUT / "images", root / "images", ignore=shutil.ignore_patterns("rootfs.tar"))
        for ours in ("ml", "infra"):
            (root / ours).symlink_to(CHECKOUT / ours)  # only read
        (root / "images/base/rootfs.tar").write_bytes(b"a file system")
        binary = root / ".build/images/kube-state-metrics/kube-state-metrics"
        binary.parent.mkdir(parents=True)
        binary.write_bytes(b"a binary")
        (root / "home/cluster").mkdir(parents=True)
        (root / "home/cluster/admin.kubeconfig").write_text(KUBECONFIG)

    def release(self, release_id: str, change: Callable[[dict[str, Any]], None] | None = None) -> Path:
        """Write a release that verifies and passed, but for what `change` does to its evidence."""
        folder = self.root / "releases" / release_id
        folder.mkdir(parents=True)
        contents = {"model.onnx": release_id.encode(), "serving.json": b'{"transform": null}'}

        def own(fields: dict[str, Any]) -> None:
            fields["release"] = release_id
            fields["files"] = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
            fields["evaluation"]["model_sha256"] = fields["files"]["model.onnx"]
            earlier = [found for found in store.list_ids(self.root) if found < release_id]
            if earlier:  # judged against the one before
                live = store.load(self.root, earlier[-1])
                fields["champion"] |= {"release": live.id, "digest": live.digest}
            if change is not None:
                change(fields)

        for name, content in contents.items():
            (folder / name).write_bytes(content)
        (folder / "record.json").write_bytes(example_bytes(own))
        sign_folder(folder)
        return folder

    def stand_in(self, patch: pytest.MonkeyPatch) -> None:
        """The program takes it for the repository, and its cluster for the local one.

        What it asks that cluster at its start is left out: there is none, and to find that out takes seconds.
        """
        patch.setattr("infra.delivery.capacity.put_back", lambda *_: None)
        patch.setattr("toolchain.paths.repo_root", lambda: self.root)
        patch.setattr("policies.model_gate.CHECKOUT", self.root)
        patch.setenv("MLP_HOME", str(self.root / "home"))
        for name in ("MLP_KUBECONFIG", "MLP_CONTEXT"):
            patch.delenv(name, raising=False)


def whole_program() -> None:
    """The program of a stack, as `pulumi up` runs it."""
    runpy.run_path(str(CHECKOUT / "infra/__main__.py"), run_name="__main__")
