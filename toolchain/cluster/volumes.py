"""Dynamic `local` volumes for the one node: a directory a claim, removed with its volume.

Runs as a process of its own (`python -m toolchain.cluster.volumes --root ROOT`). `local` volumes, unlike hostPath ones,
honour fsGroup, which restricted pods need to write. Sizes are recorded and not enforced: a directory has no quota.
"""

import argparse
import http
import logging
import re
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any, Final

from toolchain.cluster.api import ApiError, Client, Credentials
from toolchain.cluster.layout import NODE, PROVISIONER, STORAGE_CLASS, Layout

INTERVAL_S: Final = 1.0
SELECTED_NODE: Final = "volume.kubernetes.io/selected-node"
PROVISIONED_BY: Final = "pv.kubernetes.io/provisioned-by"
NAME: Final = re.compile(r"pvc-[0-9a-f-]{36}")
_log = logging.getLogger("volumes")

Object = Mapping[str, Any]


def wanted(claims: list[Object]) -> list[Object]:
    """The claims that wait for a volume of ours: unbound, not going away, and their pod was placed on this node."""
    return [
        claim
        for claim in claims
        if claim["spec"].get("storageClassName") == STORAGE_CLASS
        and not claim["spec"].get("volumeName")
        and claim["metadata"].get("annotations", {}).get(SELECTED_NODE) == NODE
        and "deletionTimestamp" not in claim["metadata"]
    ]


def released(volumes: list[Object]) -> list[str]:
    """Names of our volumes whose claim is gone and whose policy says that the data go too."""
    return [
        volume["metadata"]["name"]
        for volume in volumes
        if volume["metadata"].get("annotations", {}).get(PROVISIONED_BY) == PROVISIONER
        and volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
        and volume.get("status", {}).get("phase") == "Released"
        and "deletionTimestamp" not in volume["metadata"]
        and NAME.fullmatch(volume["metadata"]["name"])
    ]


def volume_for(claim: Object, directory: Path) -> dict[str, Any]:
    """The PersistentVolume of one claim; its name comes from the claim's uid, so a second try makes the same."""
    metadata = claim["metadata"]
    term = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE]}]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name_for(claim), "annotations": {PROVISIONED_BY: PROVISIONER}},
        "spec": {
            "accessModes": claim["spec"]["accessModes"],
            "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": metadata["namespace"],
                "name": metadata["name"],
                "uid": metadata["uid"],
            },
            "local": {"path": str(directory)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}},
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": STORAGE_CLASS,
            "volumeMode": "Filesystem",
        },
    }


def name_for(claim: Object) -> str:
    """`pvc-<uid>`, as every provisioner names its volumes."""
    return f"pvc-{claim['metadata']['uid']}"


def reconcile(client: Client, directory: Path) -> None:
    """One round: make what is wanted, remove what was released.

    Raises:
        OSError: the API did not answer.
        ApiError: it refused.
    """
    for claim in wanted(client.get("/api/v1/persistentvolumeclaims")["items"]):
        path = directory / name_for(claim)
        # Only root enters the parent; the volume itself belongs to whom the kubelet's fsGroup names.
        path.mkdir(mode=0o755, exist_ok=True)
        try:
            client.call("POST", "/api/v1/persistentvolumes", volume_for(claim, path))
        except ApiError as error:
            if error.status != http.HTTPStatus.CONFLICT:  # made in the last round, the claim is about to be bound
                raise
        else:
            _log.info("made %s for %s/%s", path.name, claim["metadata"]["namespace"], claim["metadata"]["name"])
    for name in released(client.get("/api/v1/persistentvolumes")["items"]):
        # Data first: a crash in between leaves a Released volume, which the next round finds again.
        if (directory / name).exists():
            shutil.rmtree(directory / name)
        client.call("DELETE", f"/api/v1/persistentvolumes/{name}")
        _log.info("removed %s", name)


def _leave(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def main() -> None:
    """Reconcile once a second until told to stop; an API that is away is asked again."""
    parser = argparse.ArgumentParser(description="dynamic local volumes of the local cluster")
    parser.add_argument("--root", type=Path, required=True)
    layout = Layout(root=parser.parse_args().root)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    signal.signal(signal.SIGTERM, _leave)
    layout.volumes.mkdir(mode=0o711, parents=True, exist_ok=True)
    client = Client(Credentials.of(layout, "volumes"))
    mark = layout.run / "volumes.ready"
    while True:
        try:
            reconcile(client, layout.volumes)
            mark.touch()
        except (OSError, ApiError) as error:
            _log.warning("%s", error)
        time.sleep(INTERVAL_S)


if __name__ == "__main__":
    main()
