"""The smoke test before the switch and the analysis after it: where they stand in the order, and what they may do."""

import json

import pytest

from infra.backing.flows import API_SERVER, FLOWS
from ml.delivery.__main__ import _parser

FIRST, SECOND = "flights-0001", "flights-0002"
TUNED = {"analysis": json.dumps({"seconds": 30, "errorShare": 0.02}), "serviceType": "NodePort"}


@pytest.fixture
def run(recorded):
    """The program with a release in each slot."""

    def with_two_releases(live="green", **config):
        return recorded(blue=FIRST, green=SECOND, live=live, **config)

    return with_two_releases


def words(job):
    return job.inputs["spec"]["template"]["spec"]["containers"][0]["args"]


def test_the_walk_is_slot_then_smoke_then_service_then_analysis(run):
    done = run()

    slot, smoke = done.one("Deployment", "model-green"), done.one("Job", "smoke-green")
    live, analysis = done.one("Service", "model"), done.one("Job", "analysis-green")
    assert slot.urn in smoke.depends_on
    assert {slot.urn, smoke.urn} <= set(live.depends_on)
    assert live.urn in analysis.depends_on


def test_every_slot_is_smoked_and_only_the_live_one_watched(run):
    done = run()

    assert {job.name for job in done.of("Job")} == {"smoke-blue", "smoke-green", "analysis-green"}


def test_a_rollback_is_not_watched_since_its_release_has_been(run):
    done = run(live="blue")

    assert {job.name for job in done.of("Job")} == {"smoke-blue", "smoke-green"}


def test_the_first_release_is_watched_and_has_nothing_to_go_back_to(recorded):
    done = recorded()

    assert not [word for word in words(done.one("Job", "analysis-blue")) if word.startswith(("--back", "--champion"))]
    assert set(done.one("ConfigMap", "analysis-blue").inputs["data"]) == {"record.json", "serving.json"}


def test_the_analysis_knows_the_reference_of_the_release_that_it_compares_with(run):
    done = run()

    assert _parser().parse_args(words(done.one("Job", "analysis-green"))).champion == FIRST
    assert "champion-serving.json" in done.one("ConfigMap", "analysis-green").inputs["data"]
    assert "champion-serving.json" not in done.one("ConfigMap", "smoke-green").inputs["data"]


def test_a_stack_may_do_without_the_analysis(run):
    done = run(analysis=json.dumps({"enabled": False}))

    assert {job.name for job in done.of("Job")} == {"smoke-blue", "smoke-green"}
    assert not [role for role in done.of("Role") if role.k8s_name == "analysis"]


def test_the_analysis_watches_as_the_stack_says_and_goes_back_to_the_other_slot(run):
    given = words(run(**TUNED).one("Job", "analysis-green"))

    parsed = _parser().parse_args(given)
    assert (parsed.slot, parsed.back, parsed.stack, parsed.namespace) == ("green", "blue", "staging", "ml-staging")
    assert parsed.url == "http://model"
    assert (parsed.promise["seconds"], parsed.promise["error_share"]) == (30, 0.02)


def test_the_smoke_test_calls_its_own_slot(run):
    done = run()

    for slot in ("blue", "green"):
        assert _parser().parse_args(words(done.one("Job", f"smoke-{slot}"))).url == f"http://model-{slot}"


@pytest.mark.parametrize("name", ["smoke-green", "analysis-green"])
def test_what_a_job_vouches_for_stands_in_it_and_its_name_is_drawn(run, name):
    done = run()
    job = done.one("Job", name)

    annotations = job.inputs["spec"]["template"]["metadata"]["annotations"]
    files = done.one("ConfigMap", f"{name.partition('-')[0]}-green").inputs["data"]
    record = json.loads(files["record.json"])
    assert record["release"] == SECOND
    assert annotations["ml-pipeline/record-digest"] == record["digest"]
    pods = done.one("Deployment", "model-green").inputs["spec"]["template"]["metadata"]["annotations"]
    assert annotations["ml-pipeline/slot-hash"] == pods["ml-pipeline/slot-hash"]
    # a given name would be deleted before its successor is made, and a Service that depends on it with it
    assert "name" not in job.inputs["metadata"]
    assert job.inputs["metadata"]["annotations"]["pulumi.com/replaceUnready"] == "true"


@pytest.mark.parametrize("name", ["smoke-green", "analysis-green"])
def test_a_verdict_is_final_and_a_job_that_hangs_ends(run, name):
    spec = run().one("Job", name).inputs["spec"]

    assert spec["backoffLimit"] == 0
    assert 60 < spec["activeDeadlineSeconds"] < 300
    # with one the provider sees no end of a Job that failed, and `pulumi up` waits for ever
    assert "podFailurePolicy" not in spec


def test_the_analysis_may_move_one_service_and_nothing_else(run):
    done = run()

    rules = {tuple(rule["resources"]): rule for rule in done.one("Role", "analysis").inputs["rules"]}
    assert rules["services",]["resourceNames"] == ["model"]
    assert rules["services",]["verbs"] == ["get", "patch"]
    assert rules["deployments",]["verbs"] == ["get"]
    assert rules["configmaps",]["verbs"] == ["list", "create"]
    assert len(rules) == 3


def test_only_the_analysis_holds_a_token(run):
    done = run()

    holds = {job.name: job.inputs["spec"]["template"]["spec"]["automountServiceAccountToken"] for job in done.of("Job")}
    assert holds == {"smoke-blue": False, "smoke-green": False, "analysis-green": True}


def test_the_network_lets_them_through_to_what_they_need_only():
    to = {source: {flow.target for flow in FLOWS if flow.source == source} for source in ("smoke", "analysis")}

    assert to == {"smoke": {"model"}, "analysis": {"model", "prometheus", API_SERVER}}


def test_the_live_service_is_forced_through_its_own_gate_and_proof(run):
    live = run(**TUNED).one("Service", "model")

    assert live.inputs["metadata"]["annotations"] == {"pulumi.com/skipAwait": "true", "pulumi.com/patchForce": "true"}
    assert live.hooks == ("live-slot-is-ready", "live-slot-is-ready", "live-slot-answers", "live-slot-answers")


def test_a_change_of_configuration_alone_is_smoked_and_watched_anew(run):
    before, after = run(), run(limits=json.dumps({"cpu": "1", "memory": "3Gi"}))

    for job in ("smoke-green", "analysis-green"):
        vouched = [
            done.one("Job", job).inputs["spec"]["template"]["metadata"]["annotations"] for done in (before, after)
        ]
        assert vouched[0]["ml-pipeline/record-digest"] == vouched[1]["ml-pipeline/record-digest"]
        assert vouched[0]["ml-pipeline/slot-hash"] != vouched[1]["ml-pipeline/slot-hash"]
