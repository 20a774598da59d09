"""A release that rests on a waiver: refused in prod before anything is registered, unless the stack says so itself."""

import json
import re

import pulumi
import pytest

from infra import waivers
from ml.release import store
from tests.ml.release.image_folders import IMAGE as PROVEN
from tests.ml.release.image_folders import accept_unjudged_debian, prove

SLOTS = json.dumps({"blue": {"release": "flights-0001"}})
OWN = {"owner": "platform team", "reason": "looked at by hand on 2026-11-20", "expires": "2026-12-31"}


@pytest.fixture(autouse=True)
def _today(monkeypatch):
    monkeypatch.setattr(waivers, "today", lambda: "2026-11-24")


def rests(**changes):
    """Evidence whose verdict rests on a waiver of the scan `static`."""

    def edit(fields):
        about = {"rule": "scan", "of": "static"}
        waiver = {**about, "owner": "me", "reason": "no source", "expires": "2027-06-30", **changes}
        fields["gate"]["policy"]["waivers"] = [waiver]
        fields["scans"]["static"].update(verdict="incomplete", covered=0)

    return edit


def test_staging_takes_it_and_tells_everybody(program, checkout):
    checkout.release("flights-0001", rests())

    done = program(config={"slots": SLOTS})

    assert done.exports["acceptedWaivers"] == {
        "blue": [
            {
                "about": "scan/static",
                "by": "policy",
                "owner": "me",
                "reason": "no source",
                "expires": "2027-06-30",
            }
        ]
    }


@pytest.mark.parametrize("preview", [True, False])
def test_prod_refuses_it_before_anything_is_registered(program, checkout, deploy, preview):
    checkout.release("flights-0001", rests())

    with pytest.raises(pulumi.RunError) as caught:
        program(stack="prod", config={"slots": SLOTS}, preview=preview)

    message = str(caught.value)
    assert deploy.registered == []
    assert re.match("ML-GATE-206: nothing is deployed", message)
    for word in ("slot blue", "flights-0001", "'prod'", "scan/static", "'me'", "Pulumi.prod.yaml"):
        assert word in message


def test_prod_takes_it_by_its_own_word_and_says_so_in_its_outputs(program, checkout):
    checkout.release("flights-0001", rests())

    done = program(stack="prod", config={"slots": SLOTS, "acceptWaivers": json.dumps({"scan/static": OWN})})

    assert done.exports["acceptedWaivers"] == {"blue": [{"by": "stack", "about": "scan/static", **OWN}]}


def test_an_expired_waiver_stops_the_next_deployment(program, checkout, monkeypatch):
    checkout.release("flights-0001", rests())
    monkeypatch.setattr(waivers, "today", lambda: "2027-07-01")

    with pytest.raises(pulumi.RunError, match="has expired"):
        program(config={"slots": SLOTS})


def test_what_an_image_rests_on_is_asked_as_well(program, checkout):
    checkout.release("flights-0001", accept_unjudged_debian)
    prove(store.load(checkout.root, "flights-0001"), PROVEN)
    config = {"slots": json.dumps({"blue": {"release": "flights-0001", "image": PROVEN}})}

    with pytest.raises(pulumi.RunError, match="ML-GATE-206") as caught:
        program(stack="prod", config=config)
    assert "scan/image-debian" in str(caught.value)
    own = json.dumps({"scan/image-debian": OWN})
    done = program(stack="prod", config={**config, "acceptWaivers": own})
    assert done.exports["acceptedWaivers"]["blue"][-1] == {"by": "stack", "about": "scan/image-debian", **OWN}
    assert program(stack="staging", config=config).exports["acceptedWaivers"]["blue"][0]["by"] == "policy"


def test_without_waivers_the_output_is_there_and_empty(recorded):
    assert recorded(stack="prod").exports["acceptedWaivers"] == {"blue": []}
    assert recorded(blue=None).exports["acceptedWaivers"] == {}
