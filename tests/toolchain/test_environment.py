"""One environment for our commands and for a shell."""

import os
import subprocess
from pathlib import Path

import pytest

from toolchain import environment, paths

NAMES = [
    "PULUMI_HOME",
    "PULUMI_BACKEND_URL",
    "PULUMI_OPTION_POLICY_PACK",
    "PULUMI_SKIP_UPDATE_CHECK",
    "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION",
    "PULUMI_DISABLE_REGISTRY_RESOLVE",
    "PULUMI_CONFIG_PASSPHRASE_FILE",
    "KUBECONFIG",
    "DOCKER_HOST",
    "MLP_HOME",
    "MLP_CACHE",
]
SETTINGS = [
    {},
    {"MLP_HOME": "/elsewhere/home of mlp"},
    {"MLP_KUBECONFIG": "/k/config"},
    {"MLP_KUBECONFIG": "/k/config", "DOCKER_HOST": "tcp://builder:2375"},
    {"PULUMI_CONFIG_PASSPHRASE": "mine"},
    {"PULUMI_CONFIG_PASSPHRASE_FILE": "/mine", "PULUMI_HOME": "/p", "PULUMI_BACKEND_URL": "s3://bucket"},
    {"KUBECONFIG": "/somebody/production"},
    {"PULUMI_BACKEND_URL": "", "MLP_KUBECONFIG": ""},
]


@pytest.fixture(params=SETTINGS, ids=lambda given: ",".join(given) or "nothing set")
def given(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    for name in [*NAMES, "MLP_KUBECONFIG", "PULUMI_CONFIG_PASSPHRASE"]:
        monkeypatch.delenv(name, raising=False)
    for name, value in request.param.items():
        monkeypatch.setenv(name, value)
    return request.param


def shell(script: str, times: int = 1) -> dict[str, str]:
    source = "\n".join([script] * times)
    done = subprocess.run(["sh", "-eu", "-c", source + "\nenv -0"], capture_output=True, text=True, check=True)
    return dict(entry.split("=", 1) for entry in done.stdout.split("\0") if "=" in entry)


@pytest.mark.parametrize("times", [1, 2])
def test_a_shell_gets_what_our_commands_get(given: dict[str, str], times: int) -> None:
    ours = environment.pulumi_env()
    theirs = shell(environment.shell_script(), times)

    assert {name: theirs.get(name) for name in NAMES} == {name: ours.get(name) for name in NAMES}
    for entry in environment.SYSTEM_PATH:
        assert theirs["PATH"].split(":").count(entry) == 1 or entry in os.environ["PATH"]


def test_what_the_user_set_stays(given: dict[str, str]) -> None:
    ours = environment.pulumi_env()

    for name, value in given.items():
        if value and name != "KUBECONFIG":
            assert ours[name] == value


def test_only_a_named_cluster_or_the_local_one_is_ever_used(given: dict[str, str]) -> None:
    expected = given.get("MLP_KUBECONFIG") or str(paths.home() / "cluster" / "admin.kubeconfig")

    assert environment.pulumi_env()["KUBECONFIG"] == expected


def test_our_tools_come_first_on_path() -> None:
    path = environment.pulumi_env({"PATH": f"/usr/bin:{paths.venv_bin()}"})["PATH"].split(":")

    assert path[0] == str(paths.venv_bin())
    assert path.count(str(paths.venv_bin())) == 1
    assert "/usr/sbin" in path


def test_mlp_home_and_cache_move_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLP_HOME", "/a")
    monkeypatch.setenv("MLP_CACHE", "/b")

    assert paths.home() == Path("/a")
    assert paths.cache() == Path("/b")


def test_an_empty_passphrase_is_none_at_all() -> None:
    env = environment.pulumi_env({"PULUMI_CONFIG_PASSPHRASE": ""})

    assert "PULUMI_CONFIG_PASSPHRASE" not in env
    assert env["PULUMI_CONFIG_PASSPHRASE_FILE"].endswith("/passphrase")
