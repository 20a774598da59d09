"""The whole program against recording mocks: what a stack consists of, how traffic moves, and what is refused."""

import json
import re

import pulumi
import pytest

from ml.release import store
from tests.infra.checkout import CHECKOUT
from tests.ml.release.image_folders import accept_unjudged_debian, prove

DIGEST = "sha256:" + "a" * 64
GIVEN = {
    name: f"127.0.0.1:5000/ml-pipeline/{name}@{DIGEST}"
    for name in ("worker", "mlflow", "postgres", "prometheus", "kube-state-metrics")
}
PROVEN = f"127.0.0.1:5000/ml-pipeline/serving@{DIGEST}"
ACCEPTED = {"owner": "platform team", "reason": "looked at by hand", "expires": "2026-12-31"}
POD_KINDS = ("Deployment", "StatefulSet", "DaemonSet", "CronJob", "Job")


def slots(**held):
    return json.dumps({slot: {"release": release} for slot, release in held.items()})


def selected(done, service):
    return done.one("Service", service).inputs["spec"]["selector"]["ml-pipeline/slot"]


def test_the_first_release_is_deployed_with_the_platform_and_takes_traffic(recorded):
    done = recorded()

    assert {r.k8s_name for r in done.of("Deployment")} >= {"model-blue", "mlflow", "prometheus", "alertmanager"}
    assert (selected(done, "model"), selected(done, "model-preview")) == ("blue", "blue")
    assert done.exports["live"] == "blue"
    assert done.exports["slots"]["blue"]["release"] == "flights-0001"
    assert "@sha256:" in done.exports["slots"]["blue"]["image"]
    assert done.exports["namespace"] == "ml-staging"
    assert set(done.exports["images"]) == set(GIVEN)


def test_a_release_walks_into_the_idle_slot_goes_live_and_is_rolled_back(program, checkout):
    for release in ("flights-0001", "flights-0002"):
        checkout.release(release)
    both = slots(blue="flights-0001", green="flights-0002")
    steps = [
        ({"slots": slots(blue="flights-0001"), "live": "blue"}, ("blue", "blue"), {"model-blue"}),
        ({"slots": both, "live": "blue"}, ("blue", "green"), {"model-blue", "model-green"}),
        ({"slots": both, "live": "green"}, ("green", "blue"), {"model-blue", "model-green"}),
        ({"slots": both, "live": "blue"}, ("blue", "green"), {"model-blue", "model-green"}),
    ]
    before = None
    for config, services, deployments in steps:
        done = program(config=config)

        assert (selected(done, "model"), selected(done, "model-preview")) == services
        assert {r.k8s_name for r in done.of("Deployment") if r.k8s_name.startswith("model")} == deployments
        # The colour that stays is not touched by whatever happens to the other one.
        blue = done.one("Deployment", "model-blue").inputs
        assert before in (None, blue)
        before = blue


def test_the_drift_check_follows_the_live_slot(recorded):
    done = recorded(green="flights-0002", live="green")

    pod = done.one("CronJob", "drift-check").inputs["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert "--match=slot=green" in pod["containers"][0]["args"]
    files = [r.inputs["data"] for r in done.of("ConfigMap") if r.name.startswith("drift-check")]
    records = [data["record.json"] for data in files]
    assert ['"release": "flights-0002"' in record for record in records] == [True]


def test_traffic_moves_only_after_its_slot_and_through_the_gate(recorded):
    done = recorded()

    live = done.one("Service", "model")
    assert done.one("Deployment", "model-blue").urn in live.depends_on
    scanned = "blue-image-is-scanned"
    assert done.one("Deployment", "model-blue").hooks == (scanned, "blue-keeps-its-release", scanned)


def test_a_stack_without_slots_is_the_platform_alone(recorded):
    done = recorded(blue=None)

    assert not [r for r in done if r.k8s_name.startswith("model-b") and r.type.endswith(":Deployment")]
    assert not [r for r in done.of("Service") if r.k8s_name in ("model", "model-preview")]
    assert "live" not in done.exports
    assert set(done.exports["urls"]) == {"mlflow", "prometheus", "alertmanager"}


def test_prod_builds_nothing_and_runs_exactly_what_it_was_given(program, checkout, monkeypatch):
    checkout.release("flights-0001", accept_unjudged_debian)
    prove(store.load(checkout.root, "flights-0001"), PROVEN)
    config = {
        "build": "false",
        "images": json.dumps(GIVEN),
        "slots": json.dumps({"blue": {"release": "flights-0001", "image": PROVEN}}),
        "acceptWaivers": json.dumps({"scan/image-debian": ACCEPTED}),
    }
    monkeypatch.setattr("infra.waivers.today", lambda: "2026-11-24")

    done = program(stack="prod", config=config)

    assert done.of("Image") == []
    assert done.exports["images"] == GIVEN
    assert done.exports["slots"]["blue"]["image"] == PROVEN
    assert not (checkout.root / ".build/serving").exists()


def test_a_slot_with_a_digest_is_never_built_again(program, checkout):
    for release in ("flights-0001", "flights-0002"):
        checkout.release(release)
    held = {"blue": {"release": "flights-0001", "image": PROVEN}, "green": {"release": "flights-0002"}}

    done = program(config={"slots": json.dumps(held)})

    serving = [r.inputs["imageName"] for r in done.of("Image") if "/serving:" in r.inputs["imageName"]]
    assert serving == ["127.0.0.1:5000/ml-pipeline/serving:flights-0002"]


def test_everything_on_the_cluster_uses_the_named_cluster_s_provider(recorded):
    done = recorded()

    provider = next(r for r in done if r.type == "pulumi:providers:kubernetes")
    assert provider.inputs["kubeconfig"] == str(done.root / "home/cluster/admin.kubeconfig")
    objects = [r for r in done if r.type.startswith("kubernetes:")]
    assert len(objects) > 40
    assert {r.provider.rpartition("::")[0] for r in objects} == {provider.urn}


def test_all_objects_live_in_the_stack_s_namespace(recorded):
    done = recorded()

    objects = [r for r in done if r.type.startswith("kubernetes:") and not r.type.endswith(":Namespace")]
    assert {r.inputs["metadata"]["namespace"] for r in objects} == {"ml-staging"}


def test_no_secret_stands_in_clear_in_any_input(recorded):
    done = recorded()

    for secret in done.of("Secret"):
        assert secret.secrets & {"data", "stringData"}, secret.k8s_name
    values = [value for s in done.of("Secret") for value in (s.inputs.get("data") or {}).values()]
    elsewhere = json.dumps([r.inputs for r in done if not r.type.endswith(":Secret")])
    assert not [value for value in values if value in elsewhere]


def test_a_preview_of_a_first_deployment_registers_the_same_resources(recorded):
    previewed = [resource.urn for resource in recorded(preview=True)]

    assert sorted(previewed) == sorted(resource.urn for resource in recorded())


def test_build_contexts_are_relative_so_that_another_checkout_has_the_same_state(recorded):
    done = recorded()

    contexts = {r.inputs["build"]["context"] for r in done.of("Image")}
    assert "../images/base" in contexts
    assert "../.build/serving/flights-0001" in contexts
    assert not [context for context in contexts if context.startswith("/")]


def edit_one_byte(folder):
    record = folder / "record.json"
    record.write_bytes(record.read_bytes().replace(b'"accuracy": 0.81', b'"accuracy": 0.82'))


def write_nan(folder):
    record = folder / "record.json"
    record.write_bytes(record.read_bytes().replace(b'"accuracy": 0.81', b'"accuracy": NaN'))


def fail(fields):
    fields["metrics"]["accuracy"] = 0.3


def lack_a_metric(fields):
    del fields["metrics"]["accuracy"]


REFUSED = {
    "an edited byte": (None, edit_one_byte, r"ML-REL-103"),
    "a NaN": (None, write_nan, r"ML-REL-101.*NaN"),
    "a verdict of fail": (fail, None, r"ML-REL-110"),
    "a missing metric": (lack_a_metric, None, r"accuracy"),
    "another model": (None, lambda folder: (folder / "model.onnx").write_bytes(b"x"), r"ML-REL-121"),
    "no record": (None, lambda folder: (folder / "record.json").unlink(), r"ML-REL-001"),
    "no signature": (None, lambda folder: (folder / "record.dsse.json").unlink(), r"ML-REL-130"),
    "another release's name": (None, lambda folder: folder.rename(folder.with_name("flights-0009")), r"ML-REL-001"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("preview", [True, False])
def test_a_release_without_good_evidence_registers_nothing(program, checkout, deploy, case, preview):
    change, damage, reason = case
    folder = checkout.release("flights-0001", change)
    if damage is not None:
        damage(folder)

    with pytest.raises(pulumi.RunError, match=f"(?s)ML-GATE-201.*slot blue.*{reason}"):
        program(config={"slots": slots(blue="flights-0001")}, preview=preview)
    assert deploy.registered == []


def test_both_slots_problems_come_in_one_error(program, checkout, deploy):
    checkout.release("flights-0001", fail)
    edit_one_byte(checkout.release("flights-0002"))

    with pytest.raises(pulumi.RunError) as caught:
        program(config={"slots": slots(blue="flights-0001", green="flights-0002")})
    assert re.search(r"(?s)slot blue: .*ML-REL-110.*slot green: .*ML-REL-103", str(caught.value))
    assert deploy.registered == []


def test_an_idle_slot_with_a_bad_release_is_refused_as_well(program, checkout, deploy):
    checkout.release("flights-0001")
    checkout.release("flights-0002", fail)

    with pytest.raises(pulumi.RunError, match="slot green"):
        program(config={"slots": slots(blue="flights-0001", green="flights-0002")})
    assert deploy.registered == []


@pytest.mark.parametrize(
    ("missing", "fix"),
    [
        ("images/base/rootfs.tar", "make up"),
        (".build/images/kube-state-metrics/kube-state-metrics", "make setup"),
        ("images/serving/Dockerfile", "version control"),
    ],
)
def test_a_build_context_that_cannot_be_made_is_refused_before_anything_is(program, checkout, deploy, missing, fix):
    checkout.release("flights-0001")
    (checkout.root / missing).unlink()

    with pytest.raises(pulumi.RunError, match=fix):
        program(config={"slots": slots(blue="flights-0001")})
    assert deploy.registered == []


def test_urls_are_what_a_person_types(recorded):
    ports = '{"live": 30080, "preview": 30081, "mlflow": 30500, "prometheus": 30900, "alertmanager": 30930}'

    local = recorded(serviceType="NodePort", nodePorts=ports).exports["urls"]
    balanced = recorded().exports["urls"]

    assert local == {
        "model": "http://127.0.0.1:30080",
        "model-preview": "http://127.0.0.1:30081",
        "mlflow": "http://127.0.0.1:30500",
        "prometheus": "http://127.0.0.1:30900",
        "alertmanager": "http://127.0.0.1:30930",
    }
    assert balanced["model"] == "http://192.0.2.10"
    assert balanced["mlflow"] == "http://mlflow.ml-staging.svc:5000"


def test_training_and_batch_prediction_are_off_unless_asked_for(recorded):
    done = recorded()

    theirs = [one for one in done if "raining" in one.type or one.k8s_name.startswith(("search", "batch", "images-tr"))]
    assert {one.urn for one in theirs} == {done.one("ServiceAccount", name).urn for name in ("search", "batch")}


def test_a_search_brings_its_image_and_its_job(program, checkout):
    checkout.release("flights-0001")
    for name in ("pyproject.toml", "requirements.txt", "toolchain"):
        (checkout.root / name).symlink_to(CHECKOUT / name)
    done = program(config={"slots": slots(blue="flights-0001"), "training": '{"study": "june", "through": "2013-06"}'})

    image = done.one("Image", "images-training")
    assert image.inputs["build"]["context"].endswith(".build/images/training")
    (worker,) = done.one("Job", "search-june").inputs["spec"]["template"]["spec"]["containers"]
    assert "ml-pipeline/training@sha256:" in worker["image"]
    assert "--problem=ml.flights" in worker["args"]
