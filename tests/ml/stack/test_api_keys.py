"""The rotation of an API key: no moment at which a key that somebody was given is refused, wherever it is cut off."""

import json

import pytest

from infra.key_hashes import hash_lines
from infra.names import NAME_LABEL
from ml.errors import PipelineError, SurroundingsError, TransientError, UsageError
from ml.stack import api_keys, serving_pods
from tests.ml.stack.rotating import OLD, KilledError, Model, Watch, drawing

NEW = "canary-drawn-1"


def rotate(model, watch=None, draw=None):
    return api_keys.rotate(model, "staging", draw or drawing(), (watch or Watch()).waiting)


def retire(model, watch=None):
    return api_keys.retire(model, "staging", (watch or Watch()).waiting)


def held_by_clients_is_accepted(model):
    """Whatever `mlp api-key` prints, and what it printed before, until that is retired."""
    given = {model.keys["key"], model.keys.get("previous", model.keys["key"])}
    refused = [(pod, key) for pod in model.known for key in given if not model.accepts(pod, key)]
    assert not refused, refused


def test_the_new_key_is_the_current_one_only_once_every_pod_accepts_it():
    model, watch = Model(), Watch()
    watch.at_every_look = lambda: held_by_clients_is_accepted(model)

    took = rotate(model, watch)

    assert model.keys == {"key": NEW, "previous": OLD}
    assert model.hashes == hash_lines([OLD, NEW])
    assert all(model.accepts(pod, key) for pod in model.known for key in (OLD, NEW))
    assert took == watch.time == 3
    held_by_clients_is_accepted(model)


def test_a_key_that_some_pod_does_not_know_is_nobodys():
    model, watch, seen = Model(), Watch(), []
    watch.at_every_look = lambda: seen.append(model.keys)

    rotate(model, watch)

    assert seen == [{"key": OLD, "next": NEW}] * 3


def test_a_second_rotation_is_refused_until_the_previous_key_is_retired():
    model = Model()
    rotate(model)
    before = model.writes

    with pytest.raises(UsageError, match="ML-SECRET-001") as refused:
        rotate(model)
    assert refused.value.fix == "mlp api-key retire --stack staging"
    assert model.writes == before


def test_a_retired_key_is_refused_by_every_pod_and_gone_from_the_secrets():
    model, watch = Model(), Watch()
    rotate(model)

    assert retire(model, watch) == watch.time == 3
    assert model.keys == {"key": NEW}
    assert model.hashes == hash_lines([NEW])
    assert all(model.accepts(pod, NEW) and not model.accepts(pod, OLD) for pod in model.known)


def test_with_nothing_to_retire_nothing_happens():
    model = Model()

    assert retire(model) is None
    assert model.writes == 0


def writes_of(command, prepare=lambda model: None):
    model = Model()
    prepare(model)
    before = model.writes
    command(model)
    return model.writes - before


ROTATE_WRITES, RETIRE_WRITES = writes_of(rotate), writes_of(retire, rotate)


def test_there_are_writes_to_be_killed_after():
    assert ROTATE_WRITES >= 3
    assert RETIRE_WRITES >= 2


@pytest.mark.parametrize("nth", range(1, ROTATE_WRITES + 1))
def test_a_rotation_that_is_killed_after_any_write_ends_the_same_when_run_again(nth):
    model, draw = Model(), drawing()
    model.dies_after = nth

    with pytest.raises(KilledError):
        rotate(model, draw=draw)
    held_by_clients_is_accepted(model)
    if nth < ROTATE_WRITES:
        rotate(model, draw=draw)
    else:  # it was complete
        with pytest.raises(UsageError, match="ML-SECRET-001"):
            rotate(model, draw=draw)

    assert model.keys == {"key": NEW, "previous": OLD}
    assert all(model.accepts(pod, key) for pod in model.known for key in (OLD, NEW))


@pytest.mark.parametrize("nth", range(1, RETIRE_WRITES + 1))
def test_a_retirement_that_is_killed_after_any_write_ends_the_same_when_run_again(nth):
    model = Model()
    rotate(model)
    model.dies_after = model.writes + nth

    with pytest.raises(KilledError):
        retire(model)
    retire(model)

    assert model.keys == {"key": NEW}
    assert all(model.accepts(pod, NEW) and not model.accepts(pod, OLD) for pod in model.known)
    assert retire(model) is None


def test_a_rotation_that_was_cut_off_must_be_finished_before_anything_is_retired():
    model = Model()
    model.dies_after = 1
    with pytest.raises(KilledError):
        rotate(model)

    with pytest.raises(UsageError, match="ML-SECRET-002") as refused:
        retire(model)
    assert refused.value.fix == "mlp api-key rotate --stack staging"


def test_a_pod_that_never_learns_the_key_is_named_and_the_old_key_stays_the_current_one():
    model, watch = Model({"model-blue-1": 0, "model-green-1": 10_000}), Watch()

    with pytest.raises(TransientError, match="model-green-1, which refuses") as given_up:
        rotate(model, watch)

    assert given_up.value.code == "ML-SECRET-003"
    assert watch.time <= serving_pods.KNOWN_WITHIN_S + 2
    assert model.keys == {"key": OLD, "next": NEW}
    held_by_clients_is_accepted(model)
    model.behind["model-green-1"] = 0
    rotate(model, draw=lambda: "not drawn again")
    assert model.keys == {"key": NEW, "previous": OLD}


def test_two_rotations_at_once_draw_one_key():
    model, draw = Model(), drawing()
    model.before_patch = [lambda: rotate(model, draw=draw)]

    with pytest.raises(UsageError, match="ML-SECRET-001"):  # by then the other one was through
        rotate(model, draw=draw)

    assert model.keys == {"key": "canary-drawn-2", "previous": OLD}, "what was drawn too late is nobody's"
    held_by_clients_is_accepted(model)


def test_somebody_elses_change_in_between_is_kept():
    model = Model()

    def label():
        model.objects["secret", "model-api-key"]["metadata"] |= {"resourceVersion": "77", "labels": {"a": "b"}}

    model.before_patch = [label]
    rotate(model)

    assert model.objects["secret", "model-api-key"]["metadata"]["labels"] == {"a": "b"}
    assert (set(model.keys), model.keys["previous"]) == ({"key", "previous"}, OLD)


def test_a_secret_that_never_holds_still_is_given_up():
    model = Model()
    bump = iter(range(100, 200))
    model.before_patch = [
        lambda: model.objects["secret", "model-api-key"]["metadata"].update(resourceVersion=str(next(bump)))
    ] * 5

    with pytest.raises(TransientError, match="ML-SECRET-004"):
        rotate(model)
    assert model.keys == {"key": OLD}


def job(model, name, active):
    model.objects["job", name] = {
        "metadata": {"name": name, "labels": {NAME_LABEL: name.partition("-")[0]}},
        "status": {"active": active},
    }


@pytest.mark.parametrize("name", ["smoke-green", "analysis-green"])
def test_a_job_that_may_hold_the_previous_key_is_waited_for(name):
    model = Model()
    rotate(model)
    job(model, name, 1)
    job(model, "drift-1", 1)

    with pytest.raises(TransientError, match=f"ML-SECRET-005.*{name}"):
        retire(model)
    assert all(model.accepts(pod, OLD) for pod in model.known)
    job(model, name, 0)
    retire(model)
    assert model.keys == {"key": NEW}


def test_a_retirement_that_was_cut_off_asks_for_no_job_any_more():
    model = Model()
    rotate(model)
    model.dies_after = model.writes + 1
    with pytest.raises(KilledError):
        retire(model)
    job(model, "analysis-blue", 1)

    retire(model)

    assert model.keys == {"key": NEW}


def test_no_key_is_in_what_is_said_or_annotated():
    model, watch = Model(), Watch()
    rotate(model, watch)
    retire(model, watch)

    pods = json.dumps([model.one("pod", name) for name in model.known])
    assert watch.said
    assert "ml-pipeline/secret-version" in pods, "they were hurried"
    assert "canary" not in pods + "".join(watch.said)


@pytest.mark.parametrize("spoil", [{"key": ""}, {"other": "canary"}])
def test_no_key_is_in_an_error(spoil):
    model = Model()
    model.secret("model-api-key", **spoil)

    for command in (rotate, retire):
        with pytest.raises(SurroundingsError, match="ML-CONF-005") as refused:
            command(model)
        assert "canary" not in str(refused.value)
        assert "secret model-api-key model-api-key-hashes" in str(refused.value), "one of them alone heals nothing"


def test_no_key_is_in_the_error_of_pods_that_do_not_follow():
    model = Model({"model-blue-1": 10_000})

    with pytest.raises(PipelineError) as refused:
        rotate(model)
    assert "canary" not in str(refused.value)
