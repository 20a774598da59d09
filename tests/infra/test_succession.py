"""The program refuses what nobody trusted has signed, and what was not judged against the other slot."""

import json
import shutil

import pulumi
import pytest


def slots(**held):
    return json.dumps({slot: {"release": release} for slot, release in held.items()})


def without_champion(fields):
    fields["champion"] = None


@pytest.mark.parametrize("live", ["blue", "green"])
def test_a_release_that_was_not_judged_against_the_other_slot_takes_no_traffic(program, checkout, deploy, live):
    """The baseline was swapped for a weaker one, or for none."""
    checkout.release("flights-0001")
    checkout.release("flights-0002", without_champion)
    config = {"slots": slots(blue="flights-0001", green="flights-0002"), "live": live}

    with pytest.raises(pulumi.RunError, match=rf"(?s)ML-GATE-201.*slot {live}.*ML-REL-140"):
        program(config=config)
    assert deploy.registered == []


def test_without_a_trusted_key_no_release_is_deployed(program, checkout, deploy):
    folder = checkout.release("flights-0001")
    shutil.rmtree(folder.parent / "keys")

    with pytest.raises(pulumi.RunError, match=r"(?s)ML-GATE-201.*slot blue.*ML-REL-132"):
        program(config={"slots": slots(blue="flights-0001")})
    assert deploy.registered == []
