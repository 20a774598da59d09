"""The objects of one namespace, read and written as plain JSON: the one way this project's Python talks to Kubernetes.

The same from a person's machine (`ml.stack.cluster`) and from a Job in the cluster (`ml.delivery`).
"""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from http import HTTPStatus
from typing import Any, Final, Protocol

from ml.errors import SurroundingsError
from ml.stack.library import kubernetes

TIMEOUT_S: Final = (3, 15)
"""To connect, and to answer."""
FIELD_MANAGER: Final = "ml-pipeline"
"""Who Kubernetes says has changed an object that we patch."""
_UNFIT: Final[Mapping[str, tuple[int, ...]]] = {
    "read": (HTTPStatus.NOT_FOUND,),
    "list": (),
    "create": (HTTPStatus.CONFLICT,),
    # a `test` of the patch that fails is 422 to Kubernetes, a change in between 409
    "patch": (HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY),
}


class Objects(Protocol):
    """Objects of one namespace, as JSON."""

    def one(self, kind: str, name: str) -> Mapping[str, Any] | None:
        """The object, or None when it does not exist."""

    def every(self, kind: str) -> list[Mapping[str, Any]]:
        """All objects of the kind."""

    def create(self, kind: str, manifest: Mapping[str, Any]) -> bool:
        """Make an object; False when there is one of its name already, which stays as it is."""

    def patch(self, kind: str, name: str, patch: Sequence[Mapping[str, Any]]) -> bool:
        """Change an object by a JSON patch (RFC 6902); False when one of its `test`s no longer holds."""

    def ask(self, service: str, path: str) -> Mapping[str, Any] | None:
        """What a Service's pods answer to GET, in JSON, by way of the API server; None when it is no 200."""

    def post(self, pod: str, path: str, headers: Mapping[str, str]) -> bytes:
        """What a pod (`name:port`) answers to a POST without a body, or the API server in its place; empty: nothing."""


def pointer(name: str) -> str:
    """A key in a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


def annotations_of(found: Mapping[str, Any] | None) -> Mapping[str, str]:
    """The annotations of an object; empty when it has none, or when there is no object."""
    return ((found or {}).get("metadata") or {}).get("annotations") or {}


def namespace_of(found: Mapping[str, Any] | None) -> str:
    """Where an object lies, for a command that a person types; without an object the pattern of the name."""
    return ((found or {}).get("metadata") or {}).get("namespace") or "ml-STACK"


class KubernetesObjects:
    """The real cluster. The client library loads with the first question: it is slow, and many commands ask none."""

    _CALLS: Mapping[str, tuple[str, str]] = {
        "service": ("CoreV1Api", "service"),
        "secret": ("CoreV1Api", "secret"),
        "deployment": ("AppsV1Api", "deployment"),
        "statefulset": ("AppsV1Api", "stateful_set"),
        "cronjob": ("BatchV1Api", "cron_job"),
        "job": ("BatchV1Api", "job"),
        "pod": ("CoreV1Api", "pod"),
        "configmap": ("CoreV1Api", "config_map"),
        "endpointslice": ("DiscoveryV1Api", "endpoint_slice"),
        "horizontalpodautoscaler": ("AutoscalingV2Api", "horizontal_pod_autoscaler"),
    }

    _CUSTOM: Mapping[str, tuple[str, str, str]] = {"httproute": ("gateway.networking.k8s.io", "v1", "httproutes")}
    """Kinds of custom resources, which are only read; a cluster that does not know the kind has none of it."""

    def __init__(self, connect: Callable[[], Any], space: str, where: str) -> None:
        self._connect, self._space, self._where = connect, space, where

    @cached_property
    def _connection(self) -> Any:
        # Its retries are reported by what we raise in the end, not by a warning for each.
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
        return self._connect()

    def one(self, kind: str, name: str) -> Mapping[str, Any] | None:
        """See `Objects`."""
        return self._ask("read", kind, name)

    def every(self, kind: str) -> list[Mapping[str, Any]]:
        """See `Objects`."""
        answer = self._ask("list", kind) or {}
        items: list[Mapping[str, Any]] = answer.get("items", [])
        return items

    def create(self, kind: str, manifest: Mapping[str, Any]) -> bool:
        """See `Objects`."""
        return self._ask("create", kind, manifest) is not None

    def patch(self, kind: str, name: str, patch: Sequence[Mapping[str, Any]]) -> bool:
        """See `Objects`."""
        return self._ask("patch", kind, name, patch=patch) is not None

    def ask(self, service: str, path: str) -> Mapping[str, Any] | None:
        """See `Objects`."""
        import urllib3  # noqa: PLC0415  (comes with the client library)

        client: Any = kubernetes().client

        core = client.CoreV1Api(self._connection)
        call: Any = core.connect_get_namespaced_service_proxy_with_path
        try:
            answer = call(f"{service}:http", self._space, path, _preload_content=False, _request_timeout=TIMEOUT_S)
            found: Mapping[str, Any] = json.loads(answer.data)
        except (client.ApiException, urllib3.exceptions.HTTPError, ValueError):
            return None
        return found

    def post(self, pod: str, path: str, headers: Mapping[str, str]) -> bytes:
        """See `Objects`."""
        import urllib3  # noqa: PLC0415  (comes with the client library)

        client: Any = kubernetes().client

        call: Any = client.CoreV1Api(self._connection).connect_post_namespaced_pod_proxy_with_path
        given = {"_headers": dict(headers), "_preload_content": False, "_request_timeout": TIMEOUT_S}
        try:
            answer = bytes(call(pod, self._space, path, **given).data)
        except client.ApiException as error:  # whatever is not 2xx
            said = error.body or b""
            return said if isinstance(said, bytes) else str(said).encode()
        except urllib3.exceptions.HTTPError:
            return b""
        return answer

    def _ask(
        self,
        verb: str,
        kind: str,
        *named: str | Mapping[str, Any],
        patch: Sequence[Mapping[str, Any]] | None = None,
    ) -> Mapping[str, Any] | None:
        """The answer; None when the object is not as the request needs it (`_UNFIT`)."""
        import urllib3  # noqa: PLC0415  (comes with the client library)

        client: Any = kubernetes().client

        try:
            call = self._call(client, verb, kind)
            # The library's order: a name comes before the namespace, an object to create after it.
            given = (self._space, *named) if verb == "create" else (*named, self._space)
            body = {} if patch is None else {"body": list(patch), "field_manager": FIELD_MANAGER}
            answer = call(*given, **body, _preload_content=False, _request_timeout=TIMEOUT_S)
            found: Mapping[str, Any] = json.loads(answer.data)
        except client.ApiException as error:
            if error.status in _UNFIT[verb]:
                return None
            message = f"{self._where} refused to {verb} {kind} in {self._space}: {error.status} {error.reason}"
            raise SurroundingsError("ML-CLUSTER-022", message, "check the rights of the kubeconfig's user") from error
        except urllib3.exceptions.HTTPError as error:
            message = f"{self._where} does not answer: {type(error).__name__}"
            raise SurroundingsError(
                "ML-CLUSTER-020", message, "mlp cluster up, or export MLP_KUBECONFIG=FILE"
            ) from error
        return found

    def _call(self, client: Any, verb: str, kind: str) -> Callable[..., Any]:
        """The library's function for a kind of object."""
        if kind in self._CUSTOM:
            group, version, plural = self._CUSTOM[kind]
            get = client.CustomObjectsApi(self._connection).get_namespaced_custom_object
            return lambda name, space, **options: get(group, version, space, plural, name, **options)
        api, noun = self._CALLS[kind]
        found: Callable[..., Any] = getattr(getattr(client, api)(self._connection), f"{verb}_namespaced_{noun}")
        return found


def in_cluster(space: str) -> Objects:
    """The namespace as the ServiceAccount of the pod that this runs in may see it."""

    def connect() -> Any:
        library: Any = kubernetes()
        library.config.load_incluster_config()
        return library.client.ApiClient()

    return KubernetesObjects(connect, space, "this cluster")
