"""Which cluster is meant never depends on the shell's own kubeconfig."""

import pulumi
import pytest

from infra.cluster import api_client, named
from infra.settings import Settings, load_cluster
from ml.errors import ConfigError, SurroundingsError

KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: one
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
contexts: [{name: one, context: {cluster: c, user: u}}, {name: two, context: {cluster: c, user: u}}]
users: [{name: u, user: {}}]
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setenv("MLP_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "somebody-elses"))
    path = tmp_path / "mine"
    path.write_text(KUBECONFIG)
    return path


def test_without_a_name_it_is_the_local_cluster_whatever_kubeconfig_says(file, tmp_path):
    local = tmp_path / "home/cluster/admin.kubeconfig"
    local.parent.mkdir(parents=True)
    local.write_text(KUBECONFIG)

    found = named({"KUBECONFIG": str(file)})

    assert (found.kubeconfig, found.context, found.node_host) == (local, "one", "127.0.0.1")


def test_a_named_file_wins_and_its_own_context_is_taken(file):
    found = named({"MLP_KUBECONFIG": str(file)})

    assert (found.kubeconfig, found.context, found.node_host) == (file, "one", "NODE")


def test_the_stack_s_context_wins_over_the_environment_s(file):
    environ = {"MLP_KUBECONFIG": str(file), "MLP_CONTEXT": "one"}

    assert named({**environ, "MLP_CONTEXT": "two"}).context == "two"
    assert named(environ, "two").context == "two"


def test_a_context_that_is_not_there_is_refused_with_those_that_are(file):
    with pytest.raises(ConfigError, match=r"'three' is not in .*; it has one, two"):
        named({"MLP_KUBECONFIG": str(file)}, "three")


def test_a_missing_local_cluster_says_how_to_start_it(file):
    with pytest.raises(SurroundingsError, match="mlp cluster up"):
        named({})


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"contexts: 3", b"\xff\xfe", b"contexts: [{}]"])
def test_a_file_that_is_no_kubeconfig_is_refused(file, content):
    file.write_bytes(content)

    with pytest.raises(SurroundingsError, match=r"ML-CONF-002.*not a kubeconfig"):
        named({"MLP_KUBECONFIG": str(file)})


def test_the_program_ends_with_one_message(file, monkeypatch):
    monkeypatch.delenv("MLP_KUBECONFIG", raising=False)
    with pytest.raises(pulumi.RunError, match="ML-CONF-002"):
        load_cluster(Settings(stack="staging"))


def test_the_client_talks_to_that_cluster(file):
    with api_client(named({"MLP_KUBECONFIG": str(file)}, "two")) as client:
        assert client.configuration.host == "https://127.0.0.1:1"
