"""Nothing runs an image that nobody looked into."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pulumi
import pytest

from infra.delivery.image_gate import ImageGate, image_hook, refuse_unproven_images, serving_image
from infra.settings import Settings, SlotSettings
from ml.errors import GateError
from ml.gate.accepted import Acceptance
from ml.release import store
from tests.ml.release.folders import write_release
from tests.ml.release.image_folders import IMAGE, accept_unjudged_debian, prove, scans

OTHER = IMAGE.replace("a" * 64, "b" * 64)


@pytest.fixture
def root(tmp_path):
    write_release(tmp_path, "flights-0001", accept_unjudged_debian)
    return tmp_path


def inputs(image):
    return {"spec": {"template": {"spec": {"containers": [{"name": "model", "image": image}]}}}}


class Looks:
    """Counts its looks, and finds the same in every image."""

    def __init__(self, **verdicts):
        self.images, self.verdicts = [], verdicts

    def __call__(self, image):
        self.images.append(image)
        return scans(image, **self.verdicts)


async def call(root, look, *, old=None, new=IMAGE, builds=True, stack="staging", accepts=()):
    gate = ImageGate(root=root, release="flights-0001", builds=builds, look=look, stack=stack, accepts=accepts)
    hook = image_hook("green", gate)
    args = SimpleNamespace(new_inputs=inputs(new), old_inputs=None if old is None else inputs(old))
    await hook.callback(args)


async def test_a_clean_image_passes_with_one_look(root):
    look = Looks()

    await call(root, look)

    assert look.images == [IMAGE]


async def test_an_image_with_something_that_must_not_run_stops_the_step(root):
    with pytest.raises(GateError, match="scan image-python is fail"):
        await call(root, Looks(image_python="fail"))


async def test_production_builds_nothing_into_a_slot_by_a_waiver_that_it_has_not_accepted(root):
    refused = r"'prod' does not accept(?s:.*)scan/image-debian: .*none in production"
    with pytest.raises(GateError, match=refused) as caught:
        await call(root, Looks(), stack="prod")
    assert caught.value.code == "ML-GATE-206"
    assert "Pulumi.prod.yaml" in str(caught.value)

    await call(root, Looks(image_debian="pass"), stack="prod")


@pytest.mark.parametrize(("days", "runs"), [(30, True), (0, True), (-1, False), (93, False)])
async def test_what_production_accepts_by_its_own_word_may_run_until_that_day(root, days, runs):
    until = (datetime.now(tz=UTC) + timedelta(days=days)).strftime("%Y-%m-%d")
    own = Acceptance(about="scan/image-debian", owner="platform team", reason="read by hand", expires=until)

    if runs:
        await call(root, Looks(), stack="prod", accepts=(own,))
        return
    with pytest.raises(GateError, match="the stack's own acceptance"):
        await call(root, Looks(), stack="prod", accepts=(own,))


async def test_an_acceptance_is_no_pass_for_what_must_not_run(root):
    until = (datetime.now(tz=UTC) + timedelta(days=30)).strftime("%Y-%m-%d")
    own = Acceptance(about="scan/image-python", owner="platform team", reason="read by hand", expires=until)

    with pytest.raises(GateError, match="scan image-python is fail"):
        await call(root, Looks(image_python="fail"), stack="prod", accepts=(own,))


async def test_what_runs_already_is_not_looked_at_again(root):
    look = Looks(image_python="fail")

    await call(root, look, old=IMAGE)
    assert look.images == []

    with pytest.raises(GateError):
        await call(root, look, old=OTHER)


async def test_a_stack_that_builds_nothing_asks_for_the_committed_evidence(root):
    look = Looks()
    with pytest.raises(GateError, match="nobody has scanned"):
        await call(root, look, builds=False)

    prove(store.load(root, "flights-0001"))
    await call(root, look, builds=False)

    assert look.images == []


def test_the_preview_of_such_a_stack_names_every_slot(root):
    write_release(root, "flights-0002", accept_unjudged_debian)
    held = {
        "blue": SlotSettings(release="flights-0001", image=IMAGE),
        "green": SlotSettings(release="flights-0002", image=OTHER),
    }
    settings = Settings(stack="prod", build=False, slots=held)

    with pytest.raises(pulumi.RunError) as caught:
        refuse_unproven_images(root, settings)
    for slot in ("slot blue", "slot green"):
        assert slot in str(caught.value)

    prove(store.load(root, "flights-0001"))
    prove(store.load(root, "flights-0002"), OTHER)
    refuse_unproven_images(root, settings)


def test_a_stack_that_builds_has_no_evidence_in_a_preview(root):
    refuse_unproven_images(root, Settings(stack="staging", slots={"blue": SlotSettings(release="flights-0001")}))


@pytest.mark.parametrize("odd", [None, {}, {"spec": None}, {"spec": {"template": {"spec": {"containers": []}}}}])
def test_inputs_without_an_image_have_none(odd):
    assert serving_image(odd) == ""
