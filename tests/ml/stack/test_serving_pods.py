"""Which pods are asked about a key, what their answers mean, and that one which cannot be hurried is waited for."""

import pytest

from infra.names import selector
from ml.errors import SurroundingsError
from ml.stack import api_keys, serving_pods
from tests.ml.stack.rotating import OLD, Model, Watch, drawing

NEW = "canary-drawn-1"


def rotate(model, watch=None):
    api_keys.rotate(model, "staging", drawing(), (watch or Watch()).waiting)


def test_only_pods_that_serve_are_asked():
    model = Model({"model-blue-1": 0})
    model.pod("model-blue-2", selector("model", "blue"), node=None, phase="Pending")
    model.pod("model-green-0", selector("model", "green"), phase="Failed")
    model.pod("smoke-1", selector("smoke"))
    model.pod("model-stranger", selector("model"))

    rotate(model)

    assert set(model.asked) == {"model-blue-1"}


def test_a_pod_that_comes_while_one_waits_is_asked_as_well():
    model, watch = Model({"model-blue-1": 2}), Watch()

    def scale_up():
        if "model-blue-9" not in model.known:
            model.pod("model-blue-9", selector("model", "blue"))
            model.known["model-blue-9"], model.lags["model-blue-9"], model.behind["model-blue-9"] = "", 4, 4

    watch.at_every_look = scale_up
    rotate(model, watch)

    assert model.accepts("model-blue-9", NEW)


@pytest.mark.parametrize(
    "body", [b"", b"no json", b"[]", b'{"kind": "Status", "code": 401}', b'{"error": {"code": "overloaded"}}']
)
def test_what_is_not_the_servers_word_on_the_key_says_nothing(body, monkeypatch):
    model = Model()
    monkeypatch.setattr(model, "post", lambda *_: body)

    assert serving_pods.answer(model, "model-blue-1", OLD) == "is silent"


def test_a_pod_that_cannot_be_hurried_is_waited_for(monkeypatch):
    model, patch = Model(), Model.patch

    def only_secrets(space, kind, name, steps):
        if kind == "pod":
            raise SurroundingsError("ML-CLUSTER-022", "refused to patch pod", "")
        return patch(space, kind, name, steps)

    monkeypatch.setattr(Model, "patch", only_secrets)
    rotate(model)

    assert model.keys == {"key": NEW, "previous": OLD}
