"""The one shape of a pod in this project: restricted, read-only, bounded in every resource.

Pure builders of `*Args`: no resource is registered here. The platform components and the slots of `infra.delivery` use
them, so a rule of the policy pack is met in one place or broken in one place.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import pulumi
from pulumi_kubernetes.core.v1 import (
    CapabilitiesArgs,
    ConfigMapVolumeSourceArgs,
    ContainerArgs,
    ContainerPortArgs,
    EmptyDirVolumeSourceArgs,
    EnvVarArgs,
    ExecActionArgs,
    HTTPGetActionArgs,
    LifecycleArgs,
    PersistentVolumeClaimVolumeSourceArgs,
    PodSecurityContextArgs,
    PodSpecArgs,
    ProbeArgs,
    ResourceRequirementsArgs,
    SeccompProfileArgs,
    SecretVolumeSourceArgs,
    SecurityContextArgs,
    TolerationArgs,
    TopologySpreadConstraintArgs,
    VolumeArgs,
    VolumeMountArgs,
)
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs

RUN_AS: Final = 10001
"""The uid and gid in every image; above 10000, so that it belongs to nobody on a node."""


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What one container may ask for and use, in Kubernetes quantities."""

    cpu_request: str
    memory_request: str
    cpu_limit: str
    memory_limit: str
    ephemeral_request: str = "32Mi"
    ephemeral_limit: str = "256Mi"

    def args(self, devices: Mapping[str, str] | None = None) -> ResourceRequirementsArgs:
        """The same as a `resources` block; `devices` are extended resources, whose limit must be their request."""
        return ResourceRequirementsArgs(
            requests={
                "cpu": self.cpu_request,
                "memory": self.memory_request,
                "ephemeral-storage": self.ephemeral_request,
                **(devices or {}),
            },
            limits={
                "cpu": self.cpu_limit,
                "memory": self.memory_limit,
                "ephemeral-storage": self.ephemeral_limit,
                **(devices or {}),
            },
        )


@dataclass(frozen=True, kw_only=True)
class Placement:
    """The nodes that a pod may run on, and how they run it."""

    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: Sequence[TolerationArgs] = ()
    runtime_class: str = ""


ANYWHERE: Final = Placement()


def security_context() -> SecurityContextArgs:
    """A container under Pod Security `restricted`, with a read-only root on top."""
    return SecurityContextArgs(
        allow_privilege_escalation=False,
        capabilities=CapabilitiesArgs(drop=["ALL"]),
        privileged=False,
        read_only_root_filesystem=True,
        run_as_non_root=True,
        run_as_user=RUN_AS,
        run_as_group=RUN_AS,
        seccomp_profile=SeccompProfileArgs(type="RuntimeDefault"),
    )


def pod_security_context() -> PodSecurityContextArgs:
    """The pod's side of `security_context`; `fs_group` lets the uid write its volumes."""
    return PodSecurityContextArgs(
        run_as_non_root=True,
        run_as_user=RUN_AS,
        run_as_group=RUN_AS,
        fs_group=RUN_AS,
        # Changing the owner of every file at each start makes a big volume slow to mount.
        fs_group_change_policy="OnRootMismatch",
        seccomp_profile=SeccompProfileArgs(type="RuntimeDefault"),
    )


def container(  # noqa: PLR0913  (a container has this many independent parts; all keyword-only)
    name: str,
    *,
    image: pulumi.Input[str],
    resources: Resources,
    command: Sequence[pulumi.Input[str]] | None = None,
    args: Sequence[pulumi.Input[str]] | None = None,
    env: dict[str, pulumi.Input[str]] | None = None,
    ports: dict[str, int] | None = None,
    mounts: Sequence[VolumeMountArgs] = (),
    startup: ProbeArgs | None = None,
    readiness: ProbeArgs | None = None,
    liveness: ProbeArgs | None = None,
    lifecycle: LifecycleArgs | None = None,
    devices: Mapping[str, str] | None = None,
) -> ContainerArgs:
    """One restricted container; `image` is by digest, `command` and `args` replace the image's own.

    Secrets are files (`secret_volume`), never `env`. `startup` holds the other probes back; `readiness` takes traffic
    away; `liveness` restarts and must not be the readiness check under another name.
    """
    return ContainerArgs(
        name=name,
        image=image,
        # A digest cannot change under its name, so a start never needs the registry when the node has the image.
        image_pull_policy="IfNotPresent",
        command=list(command) if command is not None else None,
        args=list(args) if args is not None else None,
        env=[EnvVarArgs(name=key, value=value) for key, value in sorted((env or {}).items())],
        ports=[ContainerPortArgs(name=key, container_port=port) for key, port in (ports or {}).items()],
        volume_mounts=list(mounts),
        resources=resources.args(devices),
        security_context=security_context(),
        startup_probe=startup,
        readiness_probe=readiness,
        liveness_probe=liveness,
        lifecycle=lifecycle,
        # The last lines of a failed container's log become its status: `pulumi up` and alerts show them.
        termination_message_policy="FallbackToLogsOnError",
    )


def pod_spec(  # noqa: PLR0913  (all keyword-only, one per part of a pod)
    *,
    service_account: pulumi.Input[str],
    containers: Sequence[ContainerArgs],
    init_containers: Sequence[ContainerArgs] = (),
    volumes: Sequence[VolumeArgs] = (),
    grace_s: int = 30,
    restart_policy: str | None = None,
    token: bool = False,
    spread_over_nodes: dict[str, str] | None = None,
    placement: Placement = ANYWHERE,
) -> PodSpecArgs:
    """One restricted pod.

    Args:
        service_account: The component's own account; never `default`.
        containers: From `container`.
        init_containers: The same; each runs to its end, in order, before `containers` start.
        volumes: From `scratch`, `secret_volume`, `config_volume`, `claim_volume`.
        grace_s: Seconds between SIGTERM and SIGKILL; preStop counts in it.
        restart_policy: `Never` for Jobs; None leaves the workload's default.
        token: True mounts the account's token. Only what reads the Kubernetes API needs it.
        spread_over_nodes: Selector of pods to spread over nodes where there are several.
        placement: The nodes that it may run on.
    """
    return PodSpecArgs(
        service_account_name=service_account,
        automount_service_account_token=token,
        enable_service_links=False,
        security_context=pod_security_context(),
        containers=list(containers),
        init_containers=list(init_containers) or None,
        volumes=list(volumes),
        termination_grace_period_seconds=grace_s,
        restart_policy=restart_policy,
        topology_spread_constraints=_spread(spread_over_nodes) if spread_over_nodes else None,
        node_selector=dict(placement.node_selector) or None,
        tolerations=list(placement.tolerations) or None,
        runtime_class_name=placement.runtime_class or None,
    )


def _spread(selector: dict[str, str]) -> list[TopologySpreadConstraintArgs]:
    return [
        TopologySpreadConstraintArgs(
            max_skew=1,
            topology_key="kubernetes.io/hostname",
            # One node is a valid cluster: prefer, do not demand.
            when_unsatisfiable="ScheduleAnyway",
            label_selector=LabelSelectorArgs(match_labels=selector),
        ),
    ]


def mount(name: str, path: str, *, read_only: bool = True, sub_path: str | None = None) -> VolumeMountArgs:
    """The volume `name` at `path`; read-only unless said otherwise."""
    return VolumeMountArgs(name=name, mount_path=path, read_only=read_only, sub_path=sub_path)


def scratch(name: str, size: str = "16Mi", *, in_memory: bool = False) -> VolumeArgs:
    """An empty directory that dies with the pod, bounded by `size`; `in_memory` for what must not touch a disk."""
    return VolumeArgs(
        name=name,
        empty_dir=EmptyDirVolumeSourceArgs(size_limit=size, medium="Memory" if in_memory else None),
    )


def secret_volume(name: str, secret: pulumi.Input[str]) -> VolumeArgs:
    """A Secret's keys as files that only the pod's group reads."""
    return VolumeArgs(name=name, secret=SecretVolumeSourceArgs(secret_name=secret, default_mode=0o440))


def config_volume(name: str, config_map: pulumi.Input[str]) -> VolumeArgs:
    """A ConfigMap's keys as files."""
    return VolumeArgs(name=name, config_map=ConfigMapVolumeSourceArgs(name=config_map, default_mode=0o444))


def claim_volume(name: str, claim: pulumi.Input[str]) -> VolumeArgs:
    """A PersistentVolumeClaim."""
    return VolumeArgs(name=name, persistent_volume_claim=PersistentVolumeClaimVolumeSourceArgs(claim_name=claim))


def http_probe(path: str, port: int | str, *, period_s: int = 10, timeout_s: int = 3, failures: int = 3) -> ProbeArgs:
    """GET `path`; `host` stays empty, as `restricted` asks from Kubernetes 1.34 on."""
    return ProbeArgs(
        http_get=HTTPGetActionArgs(path=path, port=port),
        period_seconds=period_s,
        timeout_seconds=timeout_s,
        failure_threshold=failures,
    )


def exec_probe(command: Sequence[str], *, period_s: int = 10, timeout_s: int = 5, failures: int = 3) -> ProbeArgs:
    """Run `command` in the container; exit code 0 is healthy."""
    return ProbeArgs(
        exec_=ExecActionArgs(command=list(command)),
        period_seconds=period_s,
        timeout_seconds=timeout_s,
        failure_threshold=failures,
    )
