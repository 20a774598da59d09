"""What GPUs change in a slot: devices of the serving container, where its pods may run, what its server is told.

Every function answers with nothing while they are off, so that a stack without them is the same stack as before.
"""

from dataclasses import asdict
from typing import Any

from pulumi_kubernetes.core.v1 import TolerationArgs

from infra.backing.pods import ANYWHERE, Placement
from infra.gpu_settings import GpuSettings, Toleration


def devices(gpu: GpuSettings) -> dict[str, str]:
    """Extended resources of the container that runs the model."""
    return {gpu.resource: str(gpu.count)} if gpu.enabled else {}


def placement(gpu: GpuSettings) -> Placement:
    """The nodes that its pod may run on."""
    if not gpu.enabled:
        return ANYWHERE
    return Placement(
        node_selector=gpu.node_selector,
        tolerations=[_toleration(one) for one in gpu.tolerations],
        runtime_class=gpu.runtime_class,
    )


def environment(gpu: GpuSettings) -> dict[str, str]:
    """What the server is told besides."""
    if not gpu.enabled:
        return {}
    return {
        "EXECUTION_PROVIDER": "cuda",
        # CUDA would keep up to 1 GiB of compiled kernels in HOME, which is /tmp here: 16 MiB, above which a pod is
        # evicted. The runtime's own kernels need no compiling.
        "CUDA_CACHE_DISABLE": "1",
    }


def hashed(gpu: GpuSettings) -> dict[str, Any]:
    """The part of a slot's hash: what changes its pods, and not who measures them."""
    return {"gpu": {**asdict(gpu), "metrics": None}} if gpu.enabled else {}


def _toleration(one: Toleration) -> TolerationArgs:
    return TolerationArgs(key=one.key, operator=one.operator, value=one.value or None, effect=one.effect)
