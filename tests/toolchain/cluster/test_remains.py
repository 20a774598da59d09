import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from ml.errors import SurroundingsError
from toolchain.cluster import lifecycle, pause, remains
from toolchain.cluster.layout import PAUSE_IMAGE, Layout
from toolchain.display import Display

ROOT = Path("/srv/mlp")
MOUNTS = """\
24 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 24 0:40 / /srv/mlp/a rw - tmpfs tmpfs rw
31 30 0:41 / /srv/mlp/a/b\\040c rw - overlay overlay rw,lowerdir=/srv/mlp/x
32 24 0:42 / /srv/mlp-other rw - tmpfs tmpfs rw
"""


def test_mounts_are_found_below_the_root_only_deepest_first() -> None:
    assert remains.mounts_below(ROOT, MOUNTS) == [ROOT / "a" / "b c", ROOT / "a"]


def test_shims_of_other_containerds_are_not_ours() -> None:
    lines = [
        (1, ["/usr/bin/containerd-shim-runc-v2", "-address", "/srv/mlp/containerd.sock"]),
        (2, ["/usr/bin/containerd-shim-runc-v2", "-address", "/run/containerd/containerd.sock"]),
        (3, ["vi", "/srv/mlp/containerd.sock"]),
    ]

    assert list(remains.shims(Layout(root=ROOT), lines)) == [1]


def test_stopped_tasks_have_no_process_to_end() -> None:
    listed = "TASK    PID     STATUS    \nabc     12      RUNNING\ndef     13      STOPPED\nghi     0       CREATED\n"

    assert remains.parse_tasks(listed) == [12]
    assert remains.parse_tasks("") == []


def test_delete_refuses_a_directory_it_did_not_make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLP_HOME", str(tmp_path))
    kept = tmp_path / "cluster" / "thesis.txt"
    kept.parent.mkdir()
    kept.touch()

    with pytest.raises(SurroundingsError, match="ML-CLUSTER-008"):
        lifecycle.delete(Display())

    assert kept.exists()


def test_down_and_delete_without_a_cluster_do_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLP_HOME", str(tmp_path))

    lifecycle.down(Display())
    lifecycle.delete(Display())

    assert list(tmp_path.iterdir()) == []
    assert {part.state for part in lifecycle.status()} == {"stopped"}


def test_a_node_that_was_ready_before_the_restart_has_to_say_so_again() -> None:
    def node(status: str, heartbeat: str) -> dict[str, object]:
        condition = {"type": "Ready", "status": status, "lastHeartbeatTime": heartbeat, "message": "no network"}
        return {"status": {"conditions": [condition]}}

    since = 1_767_225_600.7  # 2026-01-01T00:00:00.7Z

    assert lifecycle.node_problem(node("True", "2026-01-01T00:00:00Z"), since) == ""
    assert "heartbeat" in lifecycle.node_problem(node("True", "2025-12-31T23:59:59Z"), since)
    assert lifecycle.node_problem(node("False", "2026-01-01T00:01:00Z"), since) == "no network"
    assert lifecycle.node_problem({}, since) != ""


def test_the_pause_image_is_complete_named_and_the_same_every_time() -> None:
    archive = pause.archive(b"program")

    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        files = {member.name: tar.extractfile(member) for member in tar}
        blobs = {name: file.read() for name, file in files.items() if file is not None}
    index = json.loads(blobs["index.json"])["manifests"][0]
    manifest = json.loads(blobs[f"blobs/sha256/{index['digest'].removeprefix('sha256:')}"])
    assert index["annotations"]["io.containerd.image.name"] == PAUSE_IMAGE
    for entry in (manifest["config"], *manifest["layers"]):
        content = blobs[f"blobs/sha256/{entry['digest'].removeprefix('sha256:')}"]
        assert (len(content), f"sha256:{hashlib.sha256(content).hexdigest()}") == (entry["size"], entry["digest"])
    assert pause.archive(b"program") == archive
