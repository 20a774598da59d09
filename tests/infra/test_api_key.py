"""`mlp api-key` prints the key of the stack's Secret and nothing else."""

import base64

import pytest

from ml.cli import key
from ml.errors import PipelineError, SurroundingsError
from ml.stack import cluster


class Objects:
    """A namespace with one Secret, or none."""

    def __init__(self, data):
        self.data = data

    def one(self, kind, name):
        assert (kind, name) == ("secret", "model-api-key")
        return None if self.data is None else {"data": self.data}


def encoded(text):
    return base64.b64encode(text.encode()).decode()


def test_it_prints_the_key_alone(monkeypatch, tmp_path, capsys):
    (tmp_path / "Pulumi.staging.yaml").write_text("config: {ml-pipeline:kubeContext: there}\n")
    asked = []
    monkeypatch.setattr(cluster, "objects", lambda *where: asked.append(where) or Objects({"key": encoded("s3cret")}))

    key.api_key("staging", tmp_path)

    assert capsys.readouterr() == ("s3cret\n", "")
    assert asked == [("staging", "there")]


def test_a_stack_that_was_never_deployed_has_no_key():
    with pytest.raises(SurroundingsError, match="does not exist"):
        key.key_of(Objects(None), "staging")


@pytest.mark.parametrize("data", [{}, {"key": ""}, {"other": encoded("x")}])
def test_a_secret_without_the_key_is_refused(data):
    with pytest.raises(SurroundingsError, match="ML-CONF-005"):
        key.key_of(Objects(data), "staging")


def test_an_unknown_stack_is_refused(tmp_path):
    with pytest.raises(PipelineError, match="ML-CONF-012"):
        key.api_key("nowhere", tmp_path)
