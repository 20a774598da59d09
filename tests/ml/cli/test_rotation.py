"""The commands that print and rotate a stack's secrets, against a Kubernetes API on this machine."""

import base64
from pathlib import Path

import pytest

from ml.cli import main, rotation
from tests.ml.stack.fakes import Namespace, api_server
from tests.ml.stack.rotating import OLD, Database, Model

PODS = {"model-blue-1": 0, "model-green-1": 0}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for stack in ("staging", "prod"):
        (tmp_path / f"Pulumi.{stack}.yaml").write_text("config: {}\n")
    monkeypatch.setenv("MLP_KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.delenv("MLP_CONTEXT", raising=False)
    monkeypatch.setattr("ml.stack.waiting.PAUSE_S", 0.01)
    monkeypatch.setattr("ml.stack.serving_pods.KNOWN_WITHIN_S", 20)
    return tmp_path


def test_the_key_is_printed_alone(root, capsys):
    with api_server({"ml-staging": Model(PODS)}, root / "kubeconfig"):
        assert main(["api-key", "--root", str(root)]) == 0

    assert capsys.readouterr() == (f"{OLD}\n", "")


def test_a_rotation_from_the_first_key_to_the_last_prints_none_but_where_it_is_asked_for(root, capsys):
    model = Model(PODS)
    with api_server({"ml-prod": model}, root / "kubeconfig"):
        words = ["--stack", "prod", "--root", str(root)]
        assert main(["api-key", "rotate", *words]) == 0
        rotated = capsys.readouterr()
        assert main(["api-key", "rotate", *words]) == 2
        again = capsys.readouterr()
        assert main(["api-key", *words]) == 0
        printed = capsys.readouterr().out.strip()
        assert main(["api-key", "retire", *words]) == 0
        retired = capsys.readouterr()
        assert main(["api-key", "retire", *words]) == 0

    assert printed == model.keys["key"] != OLD
    assert len(printed) >= 40
    assert (
        "next: give clients what mlp api-key --stack prod prints, then mlp api-key retire --stack prod" in rotated.out
    )
    assert "ML-SECRET-001" in again.err
    assert "every pod of prod refuses the previous key, after " in retired.out
    assert capsys.readouterr().out == "prod has no previous key; nothing to retire\n"
    assert [key for key in (OLD, printed) for said in (*rotated, *again, *retired) if key in said] == []
    assert all(model.accepts(pod, printed) and not model.accepts(pod, OLD) for pod in PODS)


def test_a_stack_that_is_named_before_the_last_word_is_the_one_that_is_meant(root):
    spaces = {"ml-staging": Model(PODS), "ml-prod": Model(PODS)}
    with api_server(spaces, root / "kubeconfig"):
        assert main(["api-key", "--stack", "prod", "rotate", "--root", str(root)]) == 0

    assert [set(space.keys) for space in spaces.values()] == [{"key"}, {"key", "previous"}]


def test_a_stack_that_was_never_deployed_has_no_key(root, capsys):
    with api_server({"ml-staging": Namespace()}, root / "kubeconfig"):
        assert main(["api-key", "--root", str(root)]) == 6

    assert "ML-CLUSTER-021" in capsys.readouterr().err


@pytest.mark.parametrize("data", [{}, {"key": ""}, {"other": "x"}])
def test_a_secret_without_the_key_is_refused(root, capsys, data):
    space = Namespace()
    space.secret("model-api-key", **data)
    with api_server({"ml-staging": space}, root / "kubeconfig"):
        assert main(["api-key", "--root", str(root)]) == 6

    assert "ML-CONF-005" in capsys.readouterr().err


def test_an_unknown_stack_is_refused(root, capsys):
    assert main(["api-key", "--stack", "nowhere", "--root", str(root)]) == 5

    assert "ML-CONF-012" in capsys.readouterr().err


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Database:
    """What `kubectl exec` reaches; the cluster moves on with every question about MLflow."""
    found, one = Database(lag=1), Database.one

    class Kubectl:
        def __init__(self, **_where: object) -> None:
            pass

        def run(self, *words: str) -> bytes:
            assert (words[0], words[2]) == ("exec", "--")
            return found.execute(words[1], words[3:]).encode()

    def asked(space: Database, kind: str, name: str) -> object:
        answer = one(space, kind, name)
        if kind == "deployment":
            space.settle()
        return answer

    monkeypatch.setattr(rotation, "Kubectl", Kubectl)
    monkeypatch.setattr(Database, "one", asked)
    return found


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("database-password rotate", "postgres-auth"),
        ("database-password rotate --role training", "training-auth"),
        ("mlflow-password rotate", "mlflow-auth"),
    ],
)
def test_a_password_is_rotated_and_not_shown(root, capsys, database, words, name):
    before = database.password(name)
    with api_server({"ml-staging": database}, root / "kubeconfig"):
        assert main([*words.split(), "--root", str(root)]) == 0

    out, err = capsys.readouterr()
    after = database.password(name)
    assert "staging has a new password; " in out
    assert len(after) >= 40
    shown = [value for value in (before, after) for secret in (value, base64.b64encode(value.encode()).decode())
             if secret in out + err]  # fmt: skip
    assert shown == []
    assert {**database.roles, "mlflow-auth": database.login}[name] == after


def test_the_password_of_mlflow_is_printed_alone(root, capsys):
    with api_server({"ml-staging": Database()}, root / "kubeconfig"):
        assert main(["mlflow-password", "--root", str(root)]) == 0

    assert capsys.readouterr() == (f"{OLD}-mlflow-auth\n", "")


def test_a_role_that_does_not_exist_is_wrong_usage(root):
    assert main(["database-password", "rotate", "--role", "postgres", "--root", str(root)]) == 2
