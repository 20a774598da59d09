"""Configuration: what is taken, what is refused, and that everything wrong is said at once."""

import json
import re
from dataclasses import fields
from pathlib import Path

import pulumi
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from infra.config_reader import cpu_cores, size_bytes
from infra.names import PLATFORM_IMAGES
from infra.settings import Settings, load_settings, parse
from ml.errors import ConfigError
from tests.infra.test_gpu_settings import BAD_GPU

ROOT = Path(__file__).parents[2]
DIGEST = f"127.0.0.1:5000/ml-pipeline/serving@sha256:{'a' * 64}"


def as_config(values):
    """As the CLI hands configuration over: text, JSON text for objects."""
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}


def project():
    return yaml.safe_load((ROOT / "Pulumi.yaml").read_text())


def stack_file(stack):
    text = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())
    return {key.removeprefix("ml-pipeline:"): value for key, value in text["config"].items()}


def refused(values, stack="staging"):
    with pytest.raises(ConfigError) as caught:
        parse(as_config(values), stack)
    assert caught.value.code == "ML-CONF-001"
    return str(caught.value)


def test_the_defaults_of_the_project_file_are_the_defaults_of_the_program():
    defaults = {key: declared["default"] for key, declared in project()["config"].items()}

    assert parse(as_config(defaults), "staging") == parse({}, "staging") == Settings(stack="staging")


def test_every_key_is_declared_with_type_description_and_default():
    declared = project()["config"]

    snake = {re.sub(r"[A-Z]", lambda m: "_" + m[0].lower(), key) for key in declared}
    assert snake == {field.name for field in fields(Settings)} - {"stack"}
    assert all({"type", "description", "default"} == set(one) for one in declared.values())


@pytest.mark.parametrize("stack", ["staging", "prod"])
def test_a_stack_file_holds_only_declared_keys_that_differ_from_the_defaults(stack):
    declared = project()["config"]

    for key, value in stack_file(stack).items():
        assert key in declared
        assert value != declared[key]["default"] or key == "live", f"{key} repeats the default"


def test_staging_and_prod_differ_only_in_what_promotion_writes_and_in_who_builds():
    assert set(stack_file("staging")) ^ set(stack_file("prod")) <= {"slots", "live", "images", "build"}


def test_the_staging_file_is_taken():
    settings = parse(as_config(stack_file("staging")), "staging")

    assert settings.slots[settings.live].release == "flights-0001"
    assert settings.exposed_as == "NodePort"


def test_prod_refuses_before_the_first_promotion_and_says_how_to_promote():
    message = refused({**stack_file("prod"), "slots": {}, "images": {}}, "prod")

    assert message.count("Fix:") == 1
    assert "mlp promote --from staging --to prod" in message
    assert all(f"images.{name}" in message for name in PLATFORM_IMAGES)


def test_prod_is_taken_once_everything_has_a_digest_and_also_without_slots():
    images = dict.fromkeys(PLATFORM_IMAGES, DIGEST)
    platform_only = parse(as_config({"build": False, "images": images}), "prod")
    whole = parse(
        as_config({"build": "false", "images": images, "slots": {"blue": {"release": "a-0001", "image": DIGEST}}}),
        "prod",
    )

    assert platform_only.slots == {}
    assert whole.slots["blue"].image == DIGEST


def test_a_slot_without_a_digest_is_refused_where_nothing_is_built():
    images = dict.fromkeys(PLATFORM_IMAGES, DIGEST)

    message = refused({"build": False, "images": images, "slots": {"blue": {"release": "a-0001"}}}, "prod")

    assert "slots.blue.image" in message


WAIVER = {"owner": "platform team", "reason": "no advisories reach this network", "expires": "2026-12-31"}
ROUTE = {"gateway": "public", "gatewayNamespace": "gateways", "hostname": "flights.example.com"}
BAD = {
    "slots": [{"teal": {"release": "a-0001"}}, {"blue": {}}, {"blue": {"release": "A-1"}}, [], "{", {"blue": "a-0001"}],
    "live": ["teal", "Blue", ""],
    "replicas": ["0", "101", "-1", "3.0", "three", "", "1e2", "٣"],
    "requests": [{"cpu": "0"}, {"cpu": "250M"}, {"memory": "1G"}, {"memory": True}, {"gpu": "1"}, "250m"],
    "limits": [{"cpu": "100m"}, {"memory": "1Mi"}, {"cpu": None, "cpus": "1"}],
    "serviceType": ["loadbalancer", "ExternalName", ""],
    "nodePorts": [{"live": 80}, {"live": 30080, "preview": 30080}, {"web": 30080}, {"live": True}],
    "autoscaling": [{"enabled": "yes"}, {"min": 4, "max": 3}, {"cpu": 0}, {"minimum": 1}],
    "analysis": [{"enabled": 1}, {"seconds": 5}, {"errorShare": "much"}, {"slowSeconds": 0.3}, {"second": 60}, "60"],
    "registry": ["https://registry", "", "a b"],
    "build": ["no", "True", "1"],
    "images": [{"mlflow": "mlflow:3"}, {"mlflw": DIGEST}, {"mlflow": ""}, {"mlflow": f"x@sha256:{'A' * 64}"}],
    "storage": [{"postgres": "0Gi"}, {"mlflow": "big"}, {"clas": "x"}],
    "monitoringEndpoint": ["prometheus:9090", "ftp://x"],
    "kubeContext": ["two words"],
    "acceptWaivers": [
        {"dependencies": WAIVER},
        {"floor/accuracy": WAIVER},
        {"scan/dependencies": {**WAIVER, "owner": ""}},
        {"scan/dependencies": {**WAIVER, "reason": "because"}},
        {"scan/dependencies": {**WAIVER, "expires": "2026-02-30"}},
        {"scan/dependencies": {**WAIVER, "expires": "soon"}},
        {"scan/dependencies": {**WAIVER, "until": "2026-12-31"}},
        {"scan/dependencies": {"owner": "me and you", "reason": "a whole sentence"}},
        {"scan/dependencies": "yes"},
        [],
    ],
    "training": [
        {"study": "June"},
        {"through": "2013-13"},
        {"trials": 0},
        {"workers": 101},
        {"sampler": "grid"},
        {"retrain": "daily"},
        {"retrainOnDrift": "yes"},
        {"minutes": 0},
        {"name": "x"},
    ],
    "batch": [
        {"run": "June"},
        {"run": "june"},
        {"run": "june", "input": "june.parquet"},
        {"run": "june", "input": "june.parquet", "size": "1Gi", "claim": "data"},
        {"input": "../june.parquet"},
        {"input": "/june.parquet"},
        {"input": "june.json"},
        {"output": "a/../b"},
        {"shards": 0},
        {"parallelism": 101},
        {"format": "json"},
        {"keep": "a,,b"},
        {"maxDeadShare": 2},
        {"minutes": 0},
        {"claim": "A"},
        {"size": "much"},
        {"name": "x"},
    ],
    "gpu": BAD_GPU,
    "shadow": [{"enabled": "yes"}, {"share": 0}, {"share": 1.01}, {"share": "all"}, {"shares": 0.5}, "on"],
    "canary": [
        {"weight": 5},
        {"gateway": "public"},
        {**ROUTE, "weight": 5},
        {**ROUTE, "weight": 51},
        {**ROUTE, "weight": -1},
        {**ROUTE, "weight": "5.5"},
        {**ROUTE, "gateway": "Public"},
        {**ROUTE, "hostname": "*.example.com"},
        {**ROUTE, "hostname": "localhost"},
        {**ROUTE, "gatewayNamespace": "a.b"},
        {**ROUTE, "wait": 5},
    ],
    "driftSchedule": ["daily", "* * * *", "* * * * * *"],
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in BAD.items() for value in values])
def test_a_bad_value_is_refused_with_key_value_rule_and_a_command(key, value):
    message = refused({key: value})

    line = next(line for line in message.splitlines() if f"ml-pipeline:{key}" in line)
    assert re.search(
        r"got .+; must be .+\. Fix: pulumi config set --stack staging|unknown key, .+pulumi config rm", line
    )


def test_every_key_has_a_bad_value_in_these_tests():
    assert set(BAD) == set(project()["config"])


def test_all_problems_come_in_one_error():
    message = refused({"replicas": "0", "live": "teal", "registry": "a b", "replcas": "3"})

    assert message.count("\n  - ") == 4


def test_a_misspelt_key_is_refused_with_the_nearest_name():
    assert "did you mean replicas?" in refused({"replicsa": "3"})


def test_live_must_name_a_slot_that_holds_a_release():
    assert "ml-pipeline:live: got 'green'" in refused({"slots": {"blue": {"release": "a-0001"}}, "live": "green"})


@pytest.mark.parametrize("stack", ["Prod", "a_b", "-x", "", "x" * 60])
def test_a_stack_name_that_makes_no_namespace_is_refused(stack):
    assert f"stack {stack!r}: must be" in refused({}, stack)


@given(
    replicas=st.integers(1, 100),
    low=st.integers(1, 100),
    more=st.integers(0, 50),
    cpu=st.integers(1, 1000),
    enabled=st.booleans(),
    service_type=st.sampled_from(["LoadBalancer", "NodePort", "ClusterIP"]),
    as_text=st.booleans(),
)
def test_legal_values_come_out_as_they_went_in(*, replicas, low, more, cpu, enabled, service_type, as_text):
    high = min(low + more, 100)
    scaling = {"enabled": enabled, "min": low, "max": high, "cpu": cpu}
    if as_text:
        scaling = {key: str(value).lower() for key, value in scaling.items()}

    settings = parse(
        as_config({"replicas": str(replicas), "autoscaling": scaling, "serviceType": service_type}), "staging"
    )

    assert settings.replicas == replicas
    assert (settings.autoscaling.enabled, settings.autoscaling.min) == (enabled, low)
    assert (settings.autoscaling.max, settings.autoscaling.cpu) == (high, cpu)
    assert settings.service_type == service_type


@given(st.dictionaries(st.sampled_from(sorted(BAD)), st.text() | st.sampled_from(["{}", "[]", "null", "3", "blue"])))
def test_no_text_makes_it_crash_or_pass_unseen(values):
    try:
        settings = parse(values, "staging")
    except ConfigError as error:
        assert error.code == "ML-CONF-001"  # noqa: PT017  (either outcome is right, each with its own condition)
        return
    assert 1 <= settings.replicas <= 100


@given(st.integers(1, 10**6))
def test_quantities_are_read_in_one_unit(amount):
    assert cpu_cores(f"{amount}m") == pytest.approx(amount / 1000)
    assert size_bytes(f"{amount}Ki") == size_bytes(str(amount * 1024)) == amount * 1024


@pytest.mark.parametrize("text", ["", "0", "-1", "1 Gi", "1gi", "Mi", "0m", "nan", "٣", "1e3"])
def test_what_is_no_quantity_is_none(text):
    assert cpu_cores(text) is None
    assert size_bytes(text) is None


def test_the_program_sees_one_run_error_without_a_traceback(deploy):
    with pytest.raises(pulumi.RunError, match="ML-CONF-001"):
        deploy(load_settings, config={"replicas": "0"})
    assert deploy.registered == []


def test_the_program_reads_its_own_namespace_only(deploy):
    seen = []

    deploy(lambda: seen.append(load_settings()), config={"replicas": "5"}, stack="prod")

    assert (seen[0].stack, seen[0].replicas, seen[0].namespace) == ("prod", 5, "ml-prod")
