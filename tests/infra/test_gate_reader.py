"""The hook as a whole, with the real client library against an API server of three answers."""

import json
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from infra.cluster import Cluster, api_client
from infra.delivery.gates import LiveSlotGate
from ml.errors import GateError, SurroundingsError
from ml.stack.objects import KubernetesObjects

DIGEST = "d" * 64
INPUTS = SimpleNamespace(new_inputs={"spec": {"selector": {"ml-pipeline/slot": "blue"}}}, old_inputs=None)
GREEN = [{"addresses": ["10.0.0.9"], "conditions": {"ready": True}}]
DEPLOYMENT = {
    "metadata": {"name": "model-blue", "annotations": {"ml-pipeline/record-digest": DIGEST}},
    "spec": {"replicas": 2, "selector": {}, "template": {}},
}


def slices(*ready):
    endpoints = [{"addresses": [f"10.0.0.{n}"], "conditions": {"ready": one}} for n, one in enumerate(ready)]
    return {"items": [slice_of("model-green", GREEN), slice_of("model-blue", endpoints)]}


def slice_of(service, endpoints):
    labels = {"kubernetes.io/service-name": service}
    return {"metadata": {"labels": labels}, "addressType": "IPv4", "endpoints": endpoints}


@pytest.fixture
def api(tmp_path):
    """Answers by path; a number is a status code. Remembers what it was asked."""
    answers, asked = {}, []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            path = self.path.partition("?")[0]
            asked.append(self.path)
            answer = answers[path]
            status, body = (answer, {}) if isinstance(answer, int) else (200, answer)
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(f"""\
apiVersion: v1
kind: Config
current-context: test
clusters: [{{name: test, cluster: {{server: "http://127.0.0.1:{server.server_port}"}}}}]
contexts: [{{name: test, context: {{cluster: test, user: test}}}}]
users: [{{name: test, user: {{}}}}]
""")
    cluster = Cluster(kubeconfig=kubeconfig, context="test", node_host="127.0.0.1")
    yield SimpleNamespace(answers=answers, asked=asked, cluster=cluster)
    server.shutdown()
    thread.join()
    server.server_close()


SERVICE = "/api/v1/namespaces/ml-x/services/model"
PATHS = (
    "/apis/discovery.k8s.io/v1/namespaces/ml-x/endpointslices",
    "/apis/apps/v1/namespaces/ml-x/deployments/model-blue",
)


@pytest.fixture
def gate(api):
    """What the engine would call before the live Service changes."""
    api.answers[SERVICE] = 404
    objects = KubernetesObjects(partial(api_client, api.cluster), "ml-x", "the cluster")
    return LiveSlotGate(objects=objects, namespace="ml-x", digests={"blue": DIGEST}, patience_s=0)


async def test_a_whole_slot_lets_the_service_change(api, gate):
    api.answers.update(zip(PATHS, (slices(True, True), DEPLOYMENT), strict=True))

    await gate(INPUTS)


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ((slices(True, False), DEPLOYMENT), "has 1 ready endpoints"),
        (({"items": []}, DEPLOYMENT), "has 0 ready endpoints"),
        (({"items": [slice_of("model-blue", None)]}, DEPLOYMENT), "has 0 ready endpoints"),
        ((slices(True, True), 404), "does not exist"),
        ((slices(True, True), {**DEPLOYMENT, "metadata": {"name": "model-blue"}}), "carries record digest None"),
        ((403, DEPLOYMENT), "ML-GATE-204.*403"),
        ((slices(True, True), 500), "ML-GATE-204.*500"),
    ],
)
async def test_anything_else_stops_it(api, gate, answers, reason):
    api.answers.update(zip(PATHS, answers, strict=True))

    with pytest.raises(GateError, match=reason):
        await gate(INPUTS)


def test_a_route_is_read_and_a_cluster_without_the_gateway_api_has_none(api):
    objects = KubernetesObjects(partial(api_client, api.cluster), "ml-x", "the cluster")
    path = "/apis/gateway.networking.k8s.io/v1/namespaces/ml-x/httproutes/model"
    route = {"spec": {"rules": [{"backendRefs": [{"name": "model-preview", "weight": 5}]}]}}

    api.answers[path] = route
    assert objects.one("httproute", "model") == route
    api.answers[path] = 404
    assert objects.one("httproute", "model") is None
    api.answers[path] = 403
    with pytest.raises(SurroundingsError, match="ML-CLUSTER-022"):
        objects.one("httproute", "model")


async def test_a_cluster_that_does_not_answer_stops_it(api, gate, tmp_path):
    path = tmp_path / "kubeconfig"
    path.write_text(path.read_text().replace("http://127.0.0.1:", "http://127.0.0.1:1#"))

    with pytest.raises(GateError, match="ML-GATE-204"):
        await gate(INPUTS)
