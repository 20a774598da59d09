"""From an empty machine to a rollback on the real cluster, in the order a team lives it."""

import http.client
import json
import os
import re
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from ml.release import record as release_record
from tests.e2e.machine import Machine
from tests.e2e.traffic import Traffic, predict

pytestmark = pytest.mark.e2e

STAGING, PROD = "ml-staging", "ml-prod"
LIVE_PORT, PROD_LIVE_PORT = 30080, 31080
FIRST, SECOND = "flights-0001", "flights-0002"
# Kinds whose resourceVersion moves only when somebody changes them: no HPA, CronJob or Lease, which report status.
STILL_KINDS = (
    "services,configmaps,secrets,serviceaccounts,deployments,statefulsets,"
    "networkpolicies,roles,rolebindings,persistentvolumeclaims"
)


@pytest.fixture(scope="module")
def first_up(machine: Machine) -> str:
    return machine.run("make", "up", timeout_s=45 * 60).stdout


@pytest.fixture(scope="module")
def call(machine: Machine, first_up: str) -> tuple[str, str]:
    """The API key and the body of a real flight's request."""
    serving = json.loads((machine.clone / "releases" / FIRST / "serving.json").read_text())
    row = dict(zip([f["name"] for f in serving["features"]], serving["golden"]["rows"][0], strict=True))
    return machine.text("mlp", "api-key", "--stack", "staging"), json.dumps({"features": row})


def test_make_up_prints_a_call_that_answers(machine: Machine, first_up: str) -> None:
    command = re.search(r"^\s*(curl .*?[^\\])$", first_up, re.MULTILINE | re.DOTALL)
    assert command, first_up[-3000:]

    answer = json.loads(machine.text("bash", "-c", command.group(1)))

    assert answer["model_version"] == FIRST
    assert answer["prediction"] in (0, 1, True, False, "late", "on time")


def test_mlflow_has_the_run_and_the_registered_version(machine: Machine, first_up: str) -> None:
    assert _mlflow_versions(machine) == {FIRST}


def test_prometheus_counts_the_predictions(machine: Machine, call: tuple[str, str]) -> None:
    before = _prometheus(machine, "sum(ml_predictions_total)")

    for _ in range(200):
        predict(LIVE_PORT, *call)

    _eventually(lambda: _prometheus(machine, "sum(ml_predictions_total)") >= before + 200, 90)


def test_every_scrape_target_is_up(machine: Machine, first_up: str) -> None:
    _eventually(lambda: _prometheus(machine, "count(up == 0) or vector(0)") == 0, 120)
    assert _prometheus(machine, "count(up == 1)") >= 6


def test_the_state_holds_only_real_resources(machine: Machine, first_up: str) -> None:
    state = json.loads(machine.run("pulumi", "stack", "export", "--stack", "staging").stdout)
    types = {r["type"] for r in state["deployment"]["resources"] if r.get("custom")}

    assert types
    assert all(t.startswith(("kubernetes:", "docker:", "pulumi:providers:")) for t in types), types
    assert not [r for r in state["deployment"]["resources"] if "pending_operations" in r]


def test_every_pod_runs_restricted(machine: Machine, first_up: str) -> None:
    labels = machine.kubectl("get", "namespace", STAGING)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    pods = machine.kubectl("get", "pods", "-n", STAGING)["items"]

    assert len(pods) >= 8
    for pod in pods:
        assert pod["status"]["phase"] in ("Running", "Succeeded"), pod["metadata"]["name"]
        for container in pod["spec"]["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert "@sha256:" in container["image"]
            assert {"cpu", "memory"} <= set(container["resources"]["limits"])


def test_a_pod_that_is_not_restricted_is_refused_by_the_cluster(machine: Machine, first_up: str) -> None:
    image = _image(machine, STAGING, "model-blue")
    refused = machine.run("kubectl", "run", "loose", "-n", STAGING, f"--image={image}", check=False)

    assert refused.returncode != 0
    assert "violates PodSecurity" in refused.stdout


def test_a_second_make_up_changes_nothing(machine: Machine, first_up: str) -> None:
    started = time.monotonic()
    again = machine.run("make", "up", timeout_s=600).stdout
    print(f"\nsecond make up: {time.monotonic() - started:.0f} s")

    assert not re.search(r"\d+ (created|updated|replaced|deleted)", again), again[-2000:]
    assert re.search(r"\d+ unchanged", again)


def _edit_one_byte(record: bytes) -> bytes:
    return record.replace(b'"accuracy": 0.', b'"accuracy": 1.', 1)


def _fail_the_verdict(record: bytes) -> bytes:
    fields = json.loads(record)
    fields["gate"]["verdict"] = "fail"
    return release_record.canonical_bytes(release_record.seal({k: v for k, v in fields.items() if k != "digest"}))


def _nan_metric(record: bytes) -> bytes:
    return re.sub(rb'"accuracy": [0-9.]+', b'"accuracy": NaN', record, count=1)


@pytest.mark.parametrize("spoil", [_edit_one_byte, _fail_the_verdict, _nan_metric])
def test_a_bad_release_is_refused_everywhere_and_changes_nothing(
    machine: Machine, first_up: str, spoil: Callable[[bytes], bytes]
) -> None:
    before = _resource_versions(machine)
    directory = machine.clone / "releases" / FIRST
    good = (directory / "record.json").read_bytes()
    try:
        (directory / "record.json").write_bytes(spoil(good))
        refusals = {
            "mlp release verify": machine.run("mlp", "release", "verify", FIRST, check=False),
            "preview with the pack": machine.run(
                "pulumi", "preview", "--stack", "staging", "--policy-pack", "policies", check=False
            ),
            "up without the pack": machine.run(
                "pulumi",
                "up",
                "--yes",
                "--skip-preview",
                "--stack",
                "staging",
                check=False,
                PULUMI_OPTION_POLICY_PACK="",
            ),
        }
    finally:
        (directory / "record.json").write_bytes(good)

    for name, refused in refusals.items():
        assert refused.returncode != 0, f"{name}: {refused.stdout[-2000:]}"
        assert "ML-" in refused.stdout, f"{name}: {refused.stdout[-2000:]}"
        assert "Traceback" not in refused.stdout, f"{name}: {refused.stdout[-2000:]}"
    assert _resource_versions(machine) == before


def test_next_months_release_takes_the_traffic_without_a_failed_call(machine: Machine, call: tuple[str, str]) -> None:
    first = json.loads((machine.clone / "releases" / FIRST / "record.json").read_text())
    before = _resource_versions(machine)
    machine.run("mlp", "release", "create", "--through", _next_month(first["data"]["train"]["to"]), timeout_s=900)
    machine.run("mlp", "release", "stage", SECOND, "--stack", "staging")

    with Traffic(port=LIVE_PORT, key=call[0], body=call[1]) as traffic:
        traffic.wait_for(200)
        machine.run("pulumi", "up", "--yes", "--stack", "staging", timeout_s=1200)
        traffic.wait_for(500)

    print(f"\n{traffic.calls} calls across the switch: {dict(traffic.versions)}")
    assert traffic.failures == []
    assert traffic.versions[FIRST] > 0
    assert traffic.versions[SECOND] >= 400
    assert predict(LIVE_PORT, *call)["model_version"] == SECOND
    assert _resource_versions(machine) != before, "control: a release that is let through does change the cluster"


def test_the_traffic_client_would_have_seen_an_outage(machine: Machine, call: tuple[str, str]) -> None:
    with Traffic(port=LIVE_PORT + 7, key=call[0], body=call[1], limit=20) as traffic:
        time.sleep(0.5)

    assert traffic.failures


def test_prod_gets_the_same_digest_without_a_build(machine: Machine, call: tuple[str, str]) -> None:
    machine.run("mlp", "promote", "--from", "staging", "--to", "prod")
    diff = machine.text("git", "diff", "--unified=0", "Pulumi.prod.yaml")
    machine.run("pulumi", "stack", "select", "--create", "prod")
    out = machine.run("pulumi", "up", "--yes", "--stack", "prod", timeout_s=1200).stdout

    assert SECOND in diff
    assert "docker:index:Image" not in out
    assert _image(machine, PROD, "model-blue") == _image(machine, STAGING, "model-green")
    key = machine.text("mlp", "api-key", "--stack", "prod")
    _eventually(lambda: predict(PROD_LIVE_PORT, key, call[1])["model_version"] == SECOND, 60)


def test_rollback_brings_the_earlier_release_back(machine: Machine, call: tuple[str, str]) -> None:
    with Traffic(port=LIVE_PORT, key=call[0], body=call[1]) as traffic:
        traffic.wait_for(100)
        machine.run("mlp", "rollback", "--stack", "staging", timeout_s=900)
        traffic.wait_for(300)

    assert traffic.failures == []
    assert predict(LIVE_PORT, *call)["model_version"] == FIRST


def test_the_drift_job_reaches_a_verdict_on_live_inputs(machine: Machine, call: tuple[str, str]) -> None:
    for _ in range(300):
        predict(LIVE_PORT, *call)
    machine.run("kubectl", "create", "job", "-n", STAGING, "drift-now", "--from=cronjob/drift-check")
    _eventually(lambda: _finished(machine, "drift-now"), 120)

    verdict = json.loads(machine.text("kubectl", "logs", "-n", STAGING, "job/drift-now").splitlines()[-1])
    assert verdict["verdict"] in ("ok", "warn", "alarm", "inconclusive")
    assert verdict["rows"] > 0


def test_after_a_reboot_everything_is_back_with_its_data(machine: Machine, call: tuple[str, str]) -> None:
    killed = _kill_everything(machine)
    assert killed > 20, "control: the cluster's processes were really there and are dead"
    with pytest.raises((OSError, http.client.HTTPException)):
        predict(LIVE_PORT, *call)

    machine.run("make", "up", timeout_s=900)

    assert predict(LIVE_PORT, *call)["model_version"] == FIRST
    assert _mlflow_versions(machine) >= {FIRST, SECOND}


def test_a_wrong_passphrase_is_one_clear_message(machine: Machine, first_up: str, tmp_path: Path) -> None:
    (tmp_path / "passphrase").write_text("not it")
    refused = machine.run("make", "up", check=False, PULUMI_CONFIG_PASSPHRASE_FILE=str(tmp_path / "passphrase"))

    assert refused.returncode != 0
    assert "passphrase" in refused.stdout
    assert "Traceback" not in refused.stdout


def _mlflow_versions(machine: Machine) -> set[str]:
    password = machine.text("mlp", "mlflow-password", "--stack", "staging")
    script = (
        "import mlflow\n"
        "c = mlflow.MlflowClient('http://127.0.0.1:30500')\n"
        "versions = c.search_model_versions(\"name='flights'\")\n"
        "assert all(c.get_run(v.run_id).data.metrics for v in versions)\n"
        "print(*[v.tags['release'] for v in versions])"
    )
    out = machine.run(
        "python", "-c", script, MLFLOW_TRACKING_USERNAME="admin", MLFLOW_TRACKING_PASSWORD=password
    ).stdout
    return set(out.splitlines()[-1].split())


def _prometheus(machine: Machine, query: str) -> float:
    out = machine.text(
        "curl", "-fsS", "--get", "http://127.0.0.1:30900/api/v1/query", "--data-urlencode", f"query={query}"
    )
    result = json.loads(out)["data"]["result"]
    return float(result[0]["value"][1]) if result else 0.0


def _eventually(check: Callable[[], bool], deadline_s: float) -> None:
    end = time.monotonic() + deadline_s
    while not check():
        if time.monotonic() > end:
            raise AssertionError(f"not true within {deadline_s} s")
        time.sleep(1)


def _resource_versions(machine: Machine) -> Mapping[str, str]:
    items = machine.kubectl("get", STILL_KINDS, "-n", STAGING)["items"]
    return {f"{i['kind']}/{i['metadata']['name']}": i["metadata"]["resourceVersion"] for i in items}


def _image(machine: Machine, namespace: str, deployment: str) -> str:
    spec: Any = machine.kubectl("get", "deployment", deployment, "-n", namespace)["spec"]
    return str(spec["template"]["spec"]["containers"][0]["image"])


def _next_month(month: str) -> str:
    year, number = (int(part) for part in month[:7].split("-"))
    return f"{year + number // 12:04d}-{number % 12 + 1:02d}"


def _finished(machine: Machine, job: str) -> bool:
    status = machine.kubectl("get", "job", job, "-n", STAGING)["status"]
    return bool(status.get("succeeded") or status.get("failed"))


def _kill_everything(machine: Machine) -> int:
    """SIGKILL to every process of the walk's cluster: components, shims and all that runs in containers."""
    home = str(machine.home).encode()
    doomed = [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit() and _belongs(p, home)]
    for pid in doomed:
        os.kill(pid, signal.SIGKILL)
    return len(doomed)


def _belongs(process: Path, home: bytes) -> bool:
    try:
        return home in (process / "cmdline").read_bytes() or b"kubepods" in (process / "cgroup").read_bytes()
    except OSError:
        return False
