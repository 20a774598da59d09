import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from ml.errors import SurroundingsError
from toolchain.cluster import host


@pytest.mark.parametrize(
    ("patch", "code", "words"),
    [
        (("os.geteuid", lambda: 1000), "ML-CLUSTER-001", "uid 1000"),
        (("shutil.which", lambda _name, path: None), "ML-CLUSTER-002", "containerd"),
        (("_supports", lambda _name: False), "ML-CLUSTER-003", "overlay"),
        (("shutil.disk_usage", lambda _path: SimpleNamespace(free=1024**3)), "ML-CLUSTER-004", "1.0 GiB free"),
    ],
)
def test_each_missing_thing_has_its_own_error_and_help(
    patch: tuple[str, object], code: str, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(host.os, "geteuid", lambda: 0)
    monkeypatch.setattr(host, "PACKAGES", {"sh": "dash"} | ({"nothing": "containerd"} if code.endswith("2") else {}))
    monkeypatch.setattr(host, "CNI_PLUGINS", tmp_path)
    (tmp_path / "bridge").touch()
    monkeypatch.setattr(host, "BRIDGE_FILTER", tmp_path / "filter")
    (tmp_path / "filter").touch()
    host_check_is_fine(monkeypatch, tmp_path, code)
    monkeypatch.setattr(f"toolchain.cluster.host.{patch[0]}", patch[1])

    with pytest.raises(SurroundingsError, match=words) as caught:
        host.check(tmp_path)

    assert (caught.value.code, caught.value.exit_code) == (code, 6)
    assert caught.value.fix


def host_check_is_fine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str) -> None:
    """The same machine without the one problem is accepted, so that the problem is what refuses it."""
    if code.endswith("2"):
        return
    monkeypatch.setattr(host, "_supports", lambda _name: True)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=host.MIN_FREE_BYTES))
    host.check(tmp_path / "not" / "there" / "yet")
    assert (tmp_path / "filter").read_text() == "1"
