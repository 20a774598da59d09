"""What the shadow adds to the whole program, and that it is nothing where it is off."""

import json

from infra.settings import parse
from infra.shadow_settings import ShadowSettings


def objects(done):
    """What the cluster would get, by kind and name; names of Jobs hold a hash of their slot's configuration."""
    return {(one.type.rpartition(":")[2], one.name): one.inputs for one in done if one.type.startswith("kubernetes:")}


def without(inputs, *names):
    """A Deployment without these variables, and without the hash of all of them."""
    copy = json.loads(json.dumps(inputs))
    template = copy["spec"]["template"]
    template["metadata"]["annotations"].pop("ml-pipeline/slot-hash")
    (container,) = template["spec"]["containers"]
    container["env"] = [variable for variable in container["env"] if variable["name"] not in names]
    return copy


def test_it_is_off_unless_asked_for_and_a_share_alone_does_not_switch_it_on():
    assert parse({}, "staging").shadow == ShadowSettings(enabled=False, share=0.01)
    assert parse({"shadow": '{"share": 0.5}'}, "staging").shadow.enabled is False


def test_on_both_slots_get_two_variables_and_serving_pods_may_call_each_other(recorded):
    off = objects(recorded(green="flights-0002"))
    named = objects(recorded(green="flights-0002", shadow='{"enabled": false, "share": 0.5}'))
    on = objects(recorded(green="flights-0002", shadow='{"enabled": true, "share": 0.5}'))

    drawn = {key for key in off if key[0] == "Secret"}  # passwords are drawn anew by every run
    assert {key: one for key, one in named.items() if key not in drawn} == {
        key: one for key, one in off.items() if key not in drawn
    }
    added = {("NetworkPolicy", f"allow-model-to-model-8000-{end}") for end in ("in", "out")}
    assert set(on) - set(off) == added
    assert set(off) - set(on) == set()
    changed = {key for key in off if key not in drawn and on[key] != off[key]}
    deployments = {("Deployment", f"{slot}-deployment") for slot in ("blue", "green")}
    assert deployments <= changed
    assert {kind for kind, _ in changed - deployments} <= {"Job"}  # what vouches for the slots is asked again
    for key in deployments:
        assert without(on[key], "SHADOW_URL", "SHADOW_SHARE") == without(off[key])
