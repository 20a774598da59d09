"""The API objects every `up` applies: rights of the node's processes, the StorageClass, the metrics API."""

import base64
from typing import Any, Final

from toolchain.cluster.api import Client
from toolchain.cluster.layout import NODE_IP, PROVISIONER, STORAGE_CLASS

RBAC: Final = "/apis/rbac.authorization.k8s.io/v1"
READ: Final = ["get", "list", "watch"]
Manifest = dict[str, Any]


def apply(client: Client, authority: bytes) -> None:
    """Apply every object; equal ones stay untouched."""
    for path, manifest in manifests(authority):
        client.apply(path, manifest)


def manifests(authority: bytes) -> list[tuple[str, Manifest]]:
    """`(path, object)` of everything the cluster itself owns."""
    return [
        *_role("ml-pipeline:coredns", "system:coredns", _coredns_rules()),
        *_role("ml-pipeline:metrics-server", "system:metrics-server", _metrics_rules()),
        *_role("ml-pipeline:volumes", "ml-pipeline:volumes", _volume_rules()),
        _cluster_binding("ml-pipeline:kubelet-api", "system:kubelet-api-admin", "kube-apiserver-kubelet-client"),
        _cluster_binding("ml-pipeline:metrics-server-delegation", "system:auth-delegator", "system:metrics-server"),
        _authentication_reader(),
        _storage_class(),
        *_metrics_api(authority),
    ]


def _coredns_rules() -> list[Manifest]:
    return [
        {"apiGroups": [""], "resources": ["services", "namespaces", "pods"], "verbs": READ},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": READ},
    ]


def _metrics_rules() -> list[Manifest]:
    return [
        {"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["nodes", "pods", "namespaces"], "verbs": READ},
    ]


def _volume_rules() -> list[Manifest]:
    return [
        {"apiGroups": [""], "resources": ["persistentvolumeclaims"], "verbs": ["list"]},
        {"apiGroups": [""], "resources": ["persistentvolumes"], "verbs": ["list", "create", "delete"]},
        {"apiGroups": ["storage.k8s.io"], "resources": ["storageclasses"], "verbs": ["get"]},
    ]


def _role(name: str, user: str, rules: list[Manifest]) -> list[tuple[str, Manifest]]:
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": rules,
    }
    return [(f"{RBAC}/clusterroles/{name}", role), _cluster_binding(name, name, user)]


def _cluster_binding(name: str, role: str, user: str) -> tuple[str, Manifest]:
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    }
    return f"{RBAC}/clusterrolebindings/{name}", binding


def _authentication_reader() -> tuple[str, Manifest]:
    """Lets metrics-server read which front proxy to believe."""
    name = "ml-pipeline:metrics-server-authentication"
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name, "namespace": "kube-system"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "Role",
            "name": "extension-apiserver-authentication-reader",
        },
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "system:metrics-server"}],
    }
    return f"{RBAC}/namespaces/kube-system/rolebindings/{name}", binding


def _storage_class() -> tuple[str, Manifest]:
    storage_class = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": STORAGE_CLASS,
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": PROVISIONER,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",
        "allowVolumeExpansion": False,
    }
    return f"/apis/storage.k8s.io/v1/storageclasses/{STORAGE_CLASS}", storage_class


def _metrics_api(authority: bytes) -> list[tuple[str, Manifest]]:
    """The API server forwards metrics.k8s.io to that Service and trusts our authority for it."""
    api = {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": "v1beta1.metrics.k8s.io"},
        "spec": {
            "group": "metrics.k8s.io",
            "version": "v1beta1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "service": {"name": "metrics-server", "namespace": "kube-system", "port": 443},
            "caBundle": base64.b64encode(authority).decode(),
        },
    }
    return [*_metrics_service(), ("/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io", api)]


def _metrics_service() -> list[tuple[str, Manifest]]:
    """A Service without selector whose one endpoint is the process on the node."""
    metadata = {"name": "metrics-server", "namespace": "kube-system"}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 4443}]},
    }
    slice_ = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata
        | {
            "labels": {
                "kubernetes.io/service-name": "metrics-server",
                "endpointslice.kubernetes.io/managed-by": "mlp-cluster",
            }
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [NODE_IP], "conditions": {"ready": True}}],
        "ports": [{"name": "https", "port": 4443, "protocol": "TCP"}],
    }
    return [
        ("/api/v1/namespaces/kube-system/services/metrics-server", service),
        ("/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices/metrics-server", slice_),
    ]
