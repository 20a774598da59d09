"""The sandbox image: our own static program, packed and imported here so that no registry is ever needed for it."""

import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ml.errors import SurroundingsError
from toolchain import paths
from toolchain.cluster.layout import PAUSE_IMAGE, Layout

BUILD_TIMEOUT_S: Final = 300
IMPORT_TIMEOUT_S: Final = 60


def ensure(layout: Layout, binaries: Mapping[str, Path]) -> None:
    """Import the image into containerd unless it is there.

    Raises:
        SurroundingsError: it cannot be built or imported.
    """
    ctr = [str(binaries["ctr"]), "--address", str(layout.containerd_socket), "--namespace", "k8s.io", "images"]
    listed = subprocess.run(
        [*ctr, "ls", "-q", f"name=={PAUSE_IMAGE}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=IMPORT_TIMEOUT_S,
    )
    if PAUSE_IMAGE in listed.stdout.split():
        return
    image = archive(build().read_bytes())
    done = subprocess.run(
        [*ctr, "import", "-"], input=image, capture_output=True, check=False, timeout=IMPORT_TIMEOUT_S
    )
    if done.returncode != 0:
        raise SurroundingsError(
            "ML-CLUSTER-009", f"containerd did not take the pause image: {done.stderr.decode(errors='replace')[-500:]}"
        )


def build() -> Path:
    """The static program, built once for each content of its source.

    Raises:
        SurroundingsError: Go is missing or refuses.
    """
    source = paths.repo_root() / "images" / "pause"
    digest = hashlib.sha256((source / "main.go").read_bytes() + (source / "go.mod").read_bytes()).hexdigest()[:16]
    target = paths.cache().absolute() / "pause" / digest / "pause"
    if target.exists():
        return target
    go = shutil.which("go")
    if go is None:
        raise SurroundingsError(
            "ML-CLUSTER-010", "Go is not on PATH; it builds the pause image", fix="install Go 1.19 or later"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".pause.{os.getpid()}")
    done = subprocess.run(
        [go, "build", "-trimpath", "-ldflags=-s -w -buildid=", "-o", str(partial), "."],
        cwd=source,
        env=dict(os.environ) | {"CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false"},
        capture_output=True,
        text=True,
        check=False,
        timeout=BUILD_TIMEOUT_S,
    )
    if done.returncode != 0:
        raise SurroundingsError("ML-CLUSTER-010", f"go build of images/pause failed: {done.stderr[-500:]}")
    partial.replace(target)
    return target


def archive(program: bytes) -> bytes:
    """An OCI image layout as a tar: one layer with `/pause`; equal programs give equal bytes."""
    layer = _tar({"pause": (program, 0o555)})
    packed = gzip.compress(layer, mtime=0)
    config = _json(
        {
            "architecture": "amd64" if os.uname().machine == "x86_64" else "arm64",
            "os": "linux",
            "config": {"Entrypoint": ["/pause"], "User": "65535:65535"},
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
        }
    )
    image = "application/vnd.oci.image."
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": f"{image}manifest.v1+json",
            "config": _descriptor(f"{image}config.v1+json", config),
            "layers": [_descriptor(f"{image}layer.v1.tar+gzip", packed)],
        }
    )
    entry = _descriptor(f"{image}manifest.v1+json", manifest)
    entry["annotations"] = {"io.containerd.image.name": PAUSE_IMAGE}
    blobs = {f"blobs/sha256/{hashlib.sha256(blob).hexdigest()}": (blob, 0o444) for blob in (packed, config, manifest)}
    index = {"schemaVersion": 2, "manifests": [entry]}
    return _tar(
        {"oci-layout": (_json({"imageLayoutVersion": "1.0.0"}), 0o444), "index.json": (_json(index), 0o444), **blobs}
    )


def _tar(files: Mapping[str, tuple[bytes, int]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, (content, mode) in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), mode
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def _json(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True).encode()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": _digest(content), "size": len(content)}
