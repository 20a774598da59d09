"""Pods are restricted: Kubernetes' Pod Security Standard of that name, and four rules of ours on top.

Ours: a read-only root, requests and limits, a service account of its own, and no token unless its account needs one.
Rules are named after the checks of the standard. What a preview cannot know counts as wrong.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

from pulumi_policy import (
    EnforcementLevel,
    PolicyConfigSchema,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    Severity,
)

from infra.names import ANALYSIS
from policies.reading import UNKNOWN, Container, PodObject, containers, dig, pods

VOLUMES: Final = frozenset(
    {
        "name",
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    },
)
# Path, allowed values, words; said by the container, or by the pod for all of them.
INHERITED: Final[Sequence[tuple[Sequence[str], Sequence[Any], str]]] = (
    (("runAsNonRoot",), (True,), "true, here or for the pod"),
    (("seccompProfile", "type"), ("RuntimeDefault", "Localhost"), "RuntimeDefault or Localhost, here or for the pod"),
)
HANDLERS: Final = (
    ("livenessProbe",),
    ("readinessProbe",),
    ("startupProbe",),
    ("lifecycle", "postStart"),
    ("lifecycle", "preStop"),
)
TOKEN_ACCOUNTS: Final = (ANALYSIS, "kube-state-metrics")
"""Default of the policy's configuration: the two that ask the Kubernetes API; nothing else does."""


def violations(resource_type: str, props: Any, token_accounts: Collection[str] = TOKEN_ACCOUNTS) -> list[str]:
    """Every way in which a resource's pods are not restricted.

    Args:
        resource_type: Such as `kubernetes:apps/v1:Deployment`.
        props: Its inputs.
        token_accounts: Service accounts whose pods may hold a token for the Kubernetes API.
    """
    found: list[str] = []
    for pod in pods(resource_type, props):
        each, wrong = containers(pod)
        found += wrong
        if pod.pod_spec is None and (pod.kind.patch or wrong):
            continue
        found += _pod(pod, token_accounts)
        for container in each:
            found += _container(container, dig(pod.pod_spec, "securityContext"))
    return found


def _rule(where: str, value: Any, path: Sequence[str], allowed: Sequence[Any], must: str) -> Iterator[str]:
    """A violation unless the value at the path is one of the allowed ones, of the same type."""
    got = dig(value, *path)
    if not any(got is one or (type(got) is type(one) and got == one) for one in allowed):
        yield f"{where}.{'.'.join(path)}: got {got!r}; must be {must}"


def _pod(pod: PodObject, token_accounts: Collection[str]) -> Iterator[str]:
    where, spec = f"{pod.where}spec", pod.pod_spec
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        yield from _rule(where, spec, (key,), (None, False), "false")
    yield from _security(f"{where}.securityContext", dig(spec, "securityContext"))
    yield from _rule(where, spec, ("securityContext", "sysctls"), (None, []), "left out")
    account = dig(spec, "serviceAccountName")
    if account is not UNKNOWN and (not isinstance(account, str) or account in ("", "default")):
        yield f"{where}.serviceAccountName: got {account!r}; must be an account of its own"
    if not isinstance(account, str) or account not in token_accounts:
        must = f"false: only {', '.join(sorted(token_accounts))} may hold a token"
        yield from _rule(where, spec, ("automountServiceAccountToken",), (False,), must)
    volumes = dig(spec, "volumes")
    if volumes is not None and not isinstance(volumes, list):
        yield f"{where}.volumes: got {volumes!r}; must be a list"
    for index, volume in enumerate(volumes if isinstance(volumes, list) else []):
        yield from _volume(f"{where}.volumes[{index}]", volume, may_hold_token=account in token_accounts)


def _volume(where: str, volume: Any, *, may_hold_token: bool) -> Iterator[str]:
    if not isinstance(volume, dict) or not set(volume) - {"name"}:
        yield f"{where}: got {volume!r}; must name its kind of volume"
        return
    for kind in sorted(set(volume) - VOLUMES):
        yield f"{where}.{kind}: this kind of volume reaches into the node; must be one of {', '.join(sorted(VOLUMES))}"
    if "emptyDir" in volume and dig(volume, "emptyDir", "sizeLimit") in (None, UNKNOWN, ""):
        yield f"{where}.emptyDir.sizeLimit: missing; must bound what a pod can write to its node"
    sources = dig(volume, "projected", "sources")
    if sources is UNKNOWN or (isinstance(sources, list) and UNKNOWN in sources):
        yield f"{where}.projected.sources: got {UNKNOWN!r}; must be known"
    elif not may_hold_token and any(dig(source, "serviceAccountToken") is not None for source in sources or []):
        yield f"{where}.projected: holds a token of the service account; its account may not"


def _security(where: str, context: Any) -> Iterator[str]:
    """What pods and containers have in common: nothing that loosens the confinement."""
    user = dig(context, "runAsUser")
    if user is not None and (not isinstance(user, int) or isinstance(user, bool) or user < 1):
        yield f"{where}.runAsUser: got {user!r}; must be above 0"
    yield from _rule(where, context, ("appArmorProfile", "type"), (None, "RuntimeDefault", "Localhost"), "confined")
    selinux = (None, "", "container_t", "container_init_t", "container_kvm_t", "container_engine_t")
    yield from _rule(where, context, ("seLinuxOptions", "type"), selinux, "a type of containers")
    for key in ("user", "role"):
        yield from _rule(where, context, ("seLinuxOptions", key), (None, ""), "left out")
    yield from _rule(where, context, ("windowsOptions", "hostProcess"), (None, False), "false")


def _container(container: Container, pod_context: Any) -> Iterator[str]:
    where, value = container.where, container.value
    context = dig(value, "securityContext")
    security = f"{where}.securityContext"
    yield from _security(security, context)
    yield from _rule(security, context, ("privileged",), (None, False), "false")
    yield from _rule(security, context, ("allowPrivilegeEscalation",), (False,), "false")
    yield from _rule(security, context, ("readOnlyRootFilesystem",), (True,), "true")
    yield from _rule(security, context, ("procMount",), (None, "", "Default"), "Default")
    for path, allowed, must in INHERITED:
        yield from _rule(security, _effective(context, pod_context, *path), path, allowed, must)
    dropped = dig(context, "capabilities", "drop")
    if not isinstance(dropped, list) or "ALL" not in dropped:
        yield f"{security}.capabilities.drop: got {dropped!r}; must have ALL"
    added = dig(context, "capabilities", "add")
    if added is not None and (not isinstance(added, list) or [one for one in added if one != "NET_BIND_SERVICE"]):
        yield f"{security}.capabilities.add: got {added!r}; must be at most NET_BIND_SERVICE"
    yield from _host(where, value)
    if not container.ephemeral:  # Kubernetes gives ephemeral containers no resources
        yield from _resources(where, value)


def _effective(context: Any, pod_context: Any, *path: str) -> Any:
    """The container's context where it says something about the path, else the pod's."""
    return pod_context if dig(context, *path) is None else context


def _host(where: str, value: Any) -> Iterator[str]:
    """A container has no port on its node and probes nothing but itself."""
    ports = dig(value, "ports")
    for index, port in enumerate(ports if isinstance(ports, list) else []):
        yield from _rule(f"{where}.ports[{index}]", port, ("hostPort",), (None, 0), "left out")
    for path in HANDLERS:
        for action in ("httpGet", "tcpSocket"):
            yield from _rule(where, value, (*path, action, "host"), (None, ""), "left out")


def _resources(where: str, value: Any) -> Iterator[str]:
    for kind in ("requests", "limits"):
        for resource in ("cpu", "memory"):
            got = dig(value, "resources", kind, resource)
            if got is UNKNOWN or not isinstance(got, (str, int, float)) or not str(got):
                yield f"{where}.resources.{kind}.{resource}: got {got!r}; must be given"


def check(args: ResourceValidationArgs, report: ReportViolation) -> None:
    """Report every way in which the pods are not restricted."""
    accounts = args.get_config().get("tokenAccounts", TOKEN_ACCOUNTS)
    for message in violations(args.resource_type, args.props, accounts):
        report(message, None)


POLICY: Final = ResourceValidationPolicy(
    name="pods-restricted",
    description="Pods meet the Pod Security Standard `restricted`, with read-only root, bounds, no needless token.",
    validate=check,
    enforcement_level=EnforcementLevel.MANDATORY,
    severity=Severity.HIGH,
    config_schema=PolicyConfigSchema(
        properties={
            "tokenAccounts": {
                "type": "array",
                "items": {"type": "string", "minLength": 1},
                "default": list(TOKEN_ACCOUNTS),
            },
        },
    ),
    remediation_steps="Build the pod with infra.backing.pods, which meets every rule.",
    url="docs/policies.md#pods-restricted",
)
