"""A namespace and, in it, a pod with a volume behind a NodePort: made, asked, and waited for."""

import http.client
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker
import yaml

from toolchain import cluster, rootfs
from toolchain.cluster import api

IMAGE = "127.0.0.1:5000/e2e/base:1"
NODE_PORT = 32180


def eventually(check: Callable[[], Any], *, within_s: float = 60.0) -> Any:
    """The first value of `check` that is true; the last failure when there is none in time."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            value = check()
        except (OSError, http.client.HTTPException, api.ApiError, KeyError) as error:
            value, problem = None, repr(error)
        else:
            problem = repr(value)
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {within_s} s: {problem}"
        time.sleep(0.3)


def kubectl(*arguments: str) -> str:
    argv = [*cluster_kubectl(), "--kubeconfig", str(cluster.layout().admin_kubeconfig), *arguments]
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout


def cluster_kubectl() -> list[str]:
    given = os.environ.get("MLP_TEST_BINARIES")
    return [str(Path(given) / "kubernetes"), "kubectl"] if given else ["kubectl"]


def answer(source_port: int = 0) -> str:
    connection = http.client.HTTPConnection(
        "127.0.0.1", NODE_PORT, timeout=2, source_address=("127.0.0.1", source_port)
    )
    try:
        connection.request("GET", "/")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def refused(source_port: int = 0) -> bool:
    try:
        answer(source_port)
    except ConnectionRefusedError:
        return True
    return False


def push_image() -> None:
    rootfs.ensure()
    engine = docker.DockerClient(base_url=f"unix://{cluster.layout().docker_socket}", timeout=300)
    try:
        engine.images.build(path=str(Path(rootfs.__file__).parents[1] / "images/base"), tag=IMAGE, network_mode="host")
        for event in engine.images.push(IMAGE, stream=True, decode=True):
            assert "error" not in event, event
    finally:
        engine.close()


def objects() -> list[tuple[str, dict[str, Any]]]:
    """`(path, object)` of workload.yaml: a namespace and, in it, a pod with a volume behind a NodePort."""
    manifests = list(yaml.safe_load_all(Path(__file__).with_name("workload.yaml").read_text()))
    return [(manifest.pop("path"), manifest) for manifest in manifests]


def run_the_pod(client: api.Client) -> None:
    push_image()
    for path, manifest in objects():
        client.apply(path, manifest)
