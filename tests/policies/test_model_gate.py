"""A slot runs only what has passed: evidence that is missing, edited, failed, unknown or about something else."""

import copy
import json

import pytest

from ml.release.example import example_bytes
from ml.release.signature import sign
from tests.ml.release.signing import SIGNER, signer

POLICY = "model-gate"
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
RECORD = "ml-pipeline/release-record"
SIGNATURE = "ml-pipeline/release-signature"


def with_record(slot, text):
    slot["metadata"]["annotations"][RECORD] = text
    return slot


def test_a_release_that_passed_may_run(analyze, make_slot):
    assert analyze(POLICY, DEPLOYMENT, make_slot()) == []


def test_a_verdict_of_fail_may_not(analyze, make_slot):
    slot = make_slot(lambda fields: fields["metrics"].update(accuracy=0.1))

    assert any("ML-REL-110" in message for message in analyze(POLICY, DEPLOYMENT, slot))


def test_a_metric_just_below_its_floor_fails_and_at_it_passes(analyze, make_slot):
    def accuracy(value):
        def change(fields):
            fields["metrics"]["accuracy"] = value
            fields["champion"]["metrics"]["accuracy"] = value - 0.01  # which the comparison in the record says

        return change

    assert analyze(POLICY, DEPLOYMENT, make_slot(accuracy(0.6))) == []
    assert analyze(POLICY, DEPLOYMENT, make_slot(accuracy(0.5999))) != []


def test_a_verdict_that_was_changed_by_hand_may_not(analyze, make_slot):
    text = example_bytes(lambda fields: fields["metrics"].update(accuracy=0.1)).decode()

    messages = analyze(POLICY, DEPLOYMENT, with_record(make_slot(), text.replace('"fail"', '"pass"')))

    assert any("ML-REL-103" in message for message in messages)


def test_any_changed_byte_is_found(analyze, make_slot):
    text, slot = example_bytes().decode(), make_slot()
    for index in range(0, len(text), 97):
        edited = text[:index] + ("0" if text[index] != "0" else "1") + text[index + 1 :]

        assert analyze(POLICY, DEPLOYMENT, with_record(slot, edited)), f"byte {index}"


def test_a_nan_may_not(analyze, make_slot):
    text = example_bytes().decode().replace("0.81", "NaN")

    assert any("NaN" in message for message in analyze(POLICY, DEPLOYMENT, with_record(make_slot(), text)))


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", "pass", "{", "\ud800"[:0] + "é"])
def test_what_is_no_record_may_not(analyze, make_slot, text):
    assert any("release record" in message for message in analyze(POLICY, DEPLOYMENT, with_record(make_slot(), text)))


@pytest.mark.parametrize(
    ("signature", "code"),
    [
        (None, "ML-REL-130"),
        ("", "ML-REL-131"),
        (7, "ML-REL-130"),
        (sign(example_bytes(), signer(2)).decode(), "ML-REL-132"),
        (sign(example_bytes(), SIGNER).decode().replace('"sig": "', '"sig": "AAAA'), "ML-REL-133"),
        (sign(example_bytes(lambda r: r.update(release="example-0009")), SIGNER).decode(), "ML-REL-136"),
    ],
)
def test_a_record_that_nobody_trusted_has_signed_may_not(analyze, make_slot, signature, code):
    slot = make_slot()
    slot["metadata"]["annotations"][SIGNATURE] = signature

    assert any(code in message for message in analyze(POLICY, DEPLOYMENT, slot))


def test_a_signature_that_a_preview_cannot_know_may_not(analyze, make_slot, unknown):
    slot = make_slot()
    slot["metadata"]["annotations"][SIGNATURE] = unknown.text

    assert any("ML-REL-130" in message for message in analyze(POLICY, DEPLOYMENT, slot))


def test_a_key_in_the_resource_makes_no_signature_trusted(analyze, make_slot, monkeypatch, tmp_path):
    """The control of the two above: the same slot, with a checkout that trusts nobody."""
    assert analyze(POLICY, DEPLOYMENT, make_slot()) == []

    monkeypatch.setattr("policies.model_gate.CHECKOUT", tmp_path)

    assert any("ML-REL-132" in message for message in analyze(POLICY, DEPLOYMENT, make_slot()))


def test_without_a_record_it_may_not(analyze, make_slot):
    slot = make_slot()
    del slot["metadata"]["annotations"][RECORD]

    assert any("got None; must be the text" in message for message in analyze(POLICY, DEPLOYMENT, slot))


@pytest.mark.parametrize("value", [True, 3, ["pass"], {"gate": {"verdict": "pass"}}])
def test_a_record_of_the_wrong_type_may_not(analyze, make_slot, value):
    assert any("must be the text" in m for m in analyze(POLICY, DEPLOYMENT, with_record(make_slot(), value)))


def test_an_unknown_record_may_not_even_in_a_preview(analyze, make_slot, unknown):
    messages = analyze(POLICY, DEPLOYMENT, with_record(make_slot(), unknown.text))

    assert any("got a value that is not known yet; must be the text" in message for message in messages)


def put(slot, path, value):
    at = slot
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value


AGREEMENT = [
    ("metadata", "name"),
    ("metadata", "labels", "ml-pipeline/slot"),
    ("metadata", "labels", "ml-pipeline/release"),
    ("metadata", "annotations", "ml-pipeline/record-digest"),
    ("metadata", "annotations", "ml-pipeline/model-sha256"),
    ("spec", "selector", "matchLabels", "ml-pipeline/slot"),
    ("spec", "template", "metadata", "labels", "app.kubernetes.io/name"),
    ("spec", "template", "metadata", "labels", "ml-pipeline/slot"),
    ("spec", "template", "metadata", "labels", "ml-pipeline/release"),
    ("spec", "template", "metadata", "annotations", "ml-pipeline/record-digest"),
    ("spec", "template", "metadata", "annotations", "ml-pipeline/model-sha256"),
    ("spec", "template", "spec", "containers", 0, "env", 0, "value"),
    ("spec", "template", "spec", "containers", 0, "env"),
]


@pytest.mark.parametrize("path", AGREEMENT, ids=lambda path: ".".join(map(str, path)))
@pytest.mark.parametrize("value", ["something else", None, 3, [], "unknown"])
def test_everything_that_names_the_release_must_agree_with_its_record(analyze, make_slot, unknown, path, value):
    slot = make_slot()
    put(slot, path, unknown.text if value == "unknown" else value)

    assert analyze(POLICY, DEPLOYMENT, slot) != []


@pytest.mark.parametrize("where", ["initContainers", "ephemeralContainers", "containers"])
def test_a_second_container_with_another_version_may_not(analyze, make_slot, make_container, where):
    slot = make_slot()
    spec = slot["spec"]["template"]["spec"]
    other = {**make_container(), "env": [{"name": "MODEL_VERSION", "value": "other-0001"}]}
    spec[where] = [*spec.get(where, []), other]

    assert any("MODEL_VERSION: got 'other-0001'" in message for message in analyze(POLICY, DEPLOYMENT, slot))


def test_a_version_that_is_read_from_elsewhere_may_not(analyze, make_slot):
    slot = make_slot()
    slot["spec"]["template"]["spec"]["containers"][0]["env"] = [
        {"name": "MODEL_VERSION", "valueFrom": {"configMapKeyRef": {"name": "x", "key": "y"}}}
    ]

    assert any("MODEL_VERSION: got None" in message for message in analyze(POLICY, DEPLOYMENT, slot))


def test_no_other_kind_may_run_a_model(analyze, of_every_kind, make_slot):
    kind, wrap = of_every_kind
    props = wrap(make_slot()["spec"]["template"])

    messages = analyze(POLICY, kind, props)

    if kind.endswith(":Deployment"):
        assert any("must be the text of a release record" in message for message in messages)
    else:
        assert any("come from its Deployment" in message for message in messages)


def test_evidence_on_another_kind_does_not_help(analyze, make_slot):
    assert analyze(POLICY, "kubernetes:apps/v1:StatefulSet", make_slot()) != []


def test_pods_that_a_model_s_service_would_select_count_without_a_slot(analyze, make_pod):
    pod = make_pod()
    pod["metadata"]["labels"] = {"app.kubernetes.io/name": "model"}

    assert analyze(POLICY, DEPLOYMENT, {"spec": {"template": pod}}) != []


@pytest.mark.parametrize(
    "patch",
    [
        {"metadata": {"name": "model-blue"}, "spec": {"replicas": 0}},
        {"metadata": {"name": "x", "labels": {"ml-pipeline/slot": "blue"}}},
        {"spec": {"template": {"metadata": {"labels": {"app.kubernetes.io/name": "model"}}}}},
    ],
)
def test_a_patch_of_a_slot_needs_the_same_evidence(analyze, patch):
    assert analyze(POLICY, f"{DEPLOYMENT}Patch", patch) != []


def test_a_patch_of_something_unknown_may_not(analyze, unknown):
    assert analyze(POLICY, f"{DEPLOYMENT}Patch", {"metadata": {"name": unknown.text}}) != []


def test_labels_that_are_unknown_may_not_hide_a_slot(analyze, make_slot, unknown):
    whole, one = make_slot(), make_slot()
    whole["spec"]["template"]["metadata"]["labels"] = unknown.object
    one["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/name"] = unknown.text

    for slot in (whole, one):
        assert any("must be known" in message for message in analyze(POLICY, DEPLOYMENT, slot))


def test_a_slot_in_a_list_is_judged(analyze, make_slot):
    slot = make_slot()
    bad = with_record(copy.deepcopy(slot), "{}")

    assert analyze(POLICY, f"{DEPLOYMENT}List", {"items": [slot]}) == []
    assert analyze(POLICY, f"{DEPLOYMENT}List", {"items": [slot, bad]}) != []


def test_other_workloads_are_none_of_its_business(analyze, of_every_kind, make_pod):
    kind, wrap = of_every_kind

    assert analyze(POLICY, kind, wrap(make_pod())) == []


def test_a_service_is_none_of_its_business(analyze):
    props = json.loads('{"spec": {"selector": {"ml-pipeline/slot": "blue"}}}')

    assert analyze(POLICY, "kubernetes:core/v1:Service", props) == []
