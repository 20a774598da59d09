"""From an empty machine to a rollback on the real cluster, in the order a team lives it."""

import http.client
import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ml.release import record as release_record
from tests.e2e.faults import selected, starved_once_live
from tests.e2e.machine import Machine
from tests.e2e.reads import (
    PROD,
    STAGING,
    drift_verdict,
    eventually,
    image,
    kill_everything,
    mlflow_versions,
    next_month,
    prometheus,
    replay,
    resource_versions,
)
from tests.e2e.traffic import Traffic, predict

pytestmark = [pytest.mark.e2e, pytest.mark.smoke]

LIVE_PORT, PROD_LIVE_PORT = 30080, 31080
FIRST, SECOND = "flights-0001", "flights-0002"


@pytest.fixture(scope="module")
def first_up(machine: Machine) -> str:
    return machine.run("make", "up", timeout_s=45 * 60).stdout


@pytest.fixture(scope="module")
def call(machine: Machine, first_up: str) -> tuple[str, str]:
    """The API key and the body of a real flight's request."""
    serving = json.loads((machine.clone / "releases" / FIRST / "serving.json").read_text())
    row = dict(zip([f["name"] for f in serving["features"]], serving["golden"]["rows"][0], strict=True))
    return machine.secret("mlp", "api-key", "--stack", "staging"), json.dumps({"features": row})


def test_make_up_prints_a_call_that_answers(machine: Machine, first_up: str) -> None:
    command = re.search(r"^\s*(curl .*?[^\\])$", first_up, re.MULTILINE | re.DOTALL)
    assert command, first_up[-3000:]

    answer = json.loads(machine.text("bash", "-c", command.group(1)))

    assert answer["model_version"] == FIRST
    assert answer["prediction"] in (0, 1, True, False, "late", "on time")


def test_mlflow_has_the_run_and_the_registered_version(machine: Machine, first_up: str) -> None:
    assert mlflow_versions(machine) == {FIRST}


def test_prometheus_counts_the_predictions(machine: Machine, call: tuple[str, str]) -> None:
    before = prometheus(machine, "sum(ml_predictions_total)")

    for _ in range(200):
        predict(LIVE_PORT, *call)

    eventually(lambda: prometheus(machine, "sum(ml_predictions_total)") >= before + 200, 90)


def test_every_scrape_target_is_up(machine: Machine, first_up: str) -> None:
    eventually(lambda: prometheus(machine, "count(up == 0) or vector(0)") == 0, 120)
    assert prometheus(machine, "count(up == 1)") >= 6


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
    loose = image(machine, STAGING, "model-blue")
    refused = machine.run("kubectl", "run", "loose", "-n", STAGING, f"--image={loose}", check=False)

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
    before = resource_versions(machine)
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
                *("env", "-u", "PULUMI_OPTION_POLICY_PACK", "pulumi", "up", "--yes", "--skip-preview"),
                *("--stack", "staging"),
                check=False,
            ),
        }
    finally:
        (directory / "record.json").write_bytes(good)

    for name, refused in refusals.items():
        assert refused.returncode != 0, f"{name}: {refused.stdout[-2000:]}"
        assert "ML-" in refused.stdout, f"{name}: {refused.stdout[-2000:]}"
        assert "Traceback" not in refused.stdout, f"{name}: {refused.stdout[-2000:]}"
    assert "Policies:" not in refusals["up without the pack"].stdout
    assert resource_versions(machine) == before


def test_next_months_release_takes_the_traffic_without_a_failed_call(machine: Machine, call: tuple[str, str]) -> None:
    first = json.loads((machine.clone / "releases" / FIRST / "record.json").read_text())
    before = resource_versions(machine)
    machine.run("mlp", "keys", "create", "--owner", "walk")
    machine.run("mlp", "release", "create", "--through", next_month(first["data"]["train"]["to"]), timeout_s=900)
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
    assert resource_versions(machine) != before, "control: a release that is let through does change the cluster"


def test_the_traffic_client_would_have_seen_an_outage(machine: Machine, call: tuple[str, str]) -> None:
    with Traffic(port=LIVE_PORT + 7, key=call[0], body=call[1], limit=20) as traffic:
        time.sleep(0.5)

    assert traffic.failures


def test_prod_refuses_what_rests_on_a_waiver_until_its_own_file_accepts_it(machine: Machine, first_up: str) -> None:
    prod = machine.clone / "Pulumi.prod.yaml"
    before = prod.read_bytes()
    refused = machine.run("mlp", "promote", "--from", "staging", "--to", "prod", check=False)

    assert (refused.returncode, "ML-GATE-207" in refused.stdout) == (3, True), refused.stdout[-2000:]
    assert prod.read_bytes() == before
    expires = (datetime.now(tz=UTC) + timedelta(days=30)).date().isoformat()
    word = f'{{owner: platform team, reason: "no advisories reach this network", expires: "{expires}"}}'
    accepted = "".join(f"    scan/{scan}: {word}\n" for scan in ("dependencies", "image-debian"))
    prod.write_bytes(before.rstrip() + f"\n  ml-pipeline:acceptWaivers:\n{accepted}".encode())


def test_prod_gets_the_same_digest_without_a_build(machine: Machine, call: tuple[str, str]) -> None:
    machine.run("mlp", "promote", "--from", "staging", "--to", "prod")
    images = (machine.clone / "releases" / SECOND / "images").glob("*.json")
    [evidence] = [path for path in images if not path.name.endswith(".dsse.json")]
    diff = machine.text("git", "diff", "--unified=0", "Pulumi.prod.yaml")
    machine.run("pulumi", "stack", "select", "--create", "prod")
    content = evidence.read_bytes()
    evidence.unlink()
    unseen = machine.run("pulumi", "preview", "--stack", "prod", check=False)
    evidence.write_bytes(content)
    assert "ML-SCAN-003" in unseen.stdout, "an image that nobody has looked into must not run"
    out = machine.run("pulumi", "up", "--yes", "--stack", "prod", timeout_s=1200).stdout

    assert SECOND in diff
    assert "docker:index:Image" not in out
    assert image(machine, PROD, "model-blue") == image(machine, STAGING, "model-green")
    key = machine.secret("mlp", "api-key", "--stack", "prod")
    eventually(lambda: predict(PROD_LIVE_PORT, key, call[1])["model_version"] == SECOND, 60)


def test_rollback_brings_the_earlier_release_back(machine: Machine, call: tuple[str, str]) -> None:
    with Traffic(port=LIVE_PORT, key=call[0], body=call[1]) as traffic:
        traffic.wait_for(100)
        machine.run("mlp", "rollback", "--stack", "staging", timeout_s=900)
        traffic.wait_for(300)

    assert traffic.failures == []
    assert predict(LIVE_PORT, *call)["model_version"] == FIRST


def test_a_release_that_degrades_under_traffic_loses_it_by_itself(machine: Machine, call: tuple[str, str]) -> None:
    machine.run("mlp", "release", "stage", SECOND, "--stack", "staging")
    with Traffic(port=LIVE_PORT, key=call[0], body=call[1]), starved_once_live(machine, "green", 0.001) as starved:
        refused = machine.run("pulumi", "up", "--yes", "--stack", "staging", check=False, timeout_s=400)

    assert starved == [3], "control: three containers of the new slot were really starved"
    assert refused.returncode != 0
    assert f"release {SECOND}: fail under traffic" in refused.stdout, refused.stdout[-3000:]
    assert "slot blue has the traffic again after" in refused.stdout
    assert selected(machine) == "blue"
    eventually(lambda: predict(LIVE_PORT, *call)["model_version"] == FIRST, 10)


def test_a_release_that_lost_the_traffic_does_not_get_it_again(machine: Machine, call: tuple[str, str]) -> None:
    again = machine.run("pulumi", "up", "--yes", "--refresh", "--stack", "staging", check=False, timeout_s=400)

    assert again.returncode != 0
    assert "does not get the traffic again" in again.stdout, again.stdout[-3000:]
    assert selected(machine) == "blue"


def test_a_rollback_makes_the_configuration_say_what_the_cluster_does(machine: Machine, call: tuple[str, str]) -> None:
    machine.run("mlp", "rollback", "--stack", "staging", timeout_s=900)
    history = json.loads(machine.text("mlp", "release", "history", "--stack", "staging", "--json"))

    assert "ml-pipeline:live: blue" in (machine.clone / "Pulumi.staging.yaml").read_text()
    assert predict(LIVE_PORT, *call)["model_version"] == FIRST
    rolled_back = [
        (entry["release"], entry["who"] == "analysis") for entry in history if entry["event"] == "rolled-back"
    ]
    assert rolled_back == [(FIRST, False), (FIRST, True)], "by a person, then by the analysis"


def test_drift_is_found_in_a_stuck_client_and_not_in_the_next_months_flights(
    machine: Machine, call: tuple[str, str]
) -> None:
    stuck = drift_verdict(machine, "drift-stuck")
    before = prometheus(machine, "sum(ml_predictions_total)")
    replay(machine, LIVE_PORT, call[0], rows=28_000)
    # The CronJob looks at the last day, so far more real flights than repeated ones must have been seen.
    eventually(lambda: prometheus(machine, "sum(ml_predictions_total)") >= before + 28_000, 120)
    healthy = drift_verdict(machine, "drift-healthy")

    assert stuck["verdict"] == "alarm", "control: one flight over and over is not what the model was trained on"
    assert stuck["features"]["distance"]["d"] > 0.5
    assert healthy["features"]["distance"]["d"] < stuck["features"]["distance"]["d"] / 2
    assert healthy["rows"] > 28_000


def test_after_a_reboot_everything_is_back_with_its_data(machine: Machine, call: tuple[str, str]) -> None:
    killed = kill_everything(machine)
    assert killed > 20, "control: the cluster's processes were really there and are dead"
    with pytest.raises((OSError, http.client.HTTPException)):
        predict(LIVE_PORT, *call)

    machine.run("make", "up", timeout_s=900)

    assert predict(LIVE_PORT, *call)["model_version"] == FIRST
    assert mlflow_versions(machine) >= {FIRST, SECOND}


def test_a_wrong_passphrase_is_one_clear_message(machine: Machine, first_up: str, tmp_path: Path) -> None:
    (tmp_path / "passphrase").write_text("not it")
    refused = machine.run("make", "up", check=False, PULUMI_CONFIG_PASSPHRASE_FILE=str(tmp_path / "passphrase"))

    assert refused.returncode != 0
    assert "passphrase" in refused.stdout
    assert "Traceback" not in refused.stdout
