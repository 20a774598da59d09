"""Where an update sees to the sizes of the slots: its gate, the end of its analysis, its own start."""

from functools import partial

import pytest

from infra.analysis_settings import AnalysisSettings
from infra.cluster import Cluster, api_client
from infra.delivery.autoscaler import LONGEST_WINDOW_S, WARM_S, warm_s
from infra.delivery.capacity import put_back, put_back_after, put_back_earlier
from infra.delivery.gates import LiveSlotGate
from infra.delivery.jobs import SPARE_S
from infra.settings import parse
from ml.delivery.capacity import HOLD_S, Capacity
from ml.delivery.promise import Promise
from ml.errors import GateError, SurroundingsError
from ml.stack.objects import KubernetesObjects
from tests.infra.checkout import KUBECONFIG, whole_program
from tests.infra.test_gates import BAD, DIGEST, endpoint, service, switch_to
from tests.infra.test_program import slots as held
from tests.ml.delivery.slots import BEGAN, Slots
from tests.ml.stack.fakes import api_server


class Space(Slots):
    """With the endpoints of the idle slot's own Service, which the gate counts."""

    def every(self, kind):
        if kind != "endpointslice":
            return super().every(kind)
        ready = range(self.deployment("green")["status"]["readyReplicas"])
        labels = {"kubernetes.io/service-name": "model-green"}
        return [{"metadata": {"labels": labels}, "endpoints": [endpoint(f"10.0.0.{one}", ready=True) for one in ready]}]


def gate_of(space, capacity=None):
    return LiveSlotGate(objects=space, namespace="ml-x", digests={"green": DIGEST}, capacity=capacity, patience_s=0)


async def test_the_gate_lets_the_traffic_move_once_the_new_slot_is_as_big():
    space = Space(serves=6)

    await gate_of(space, space.capacity())(switch_to("green", "blue"))

    assert space.sizes("green") == (6, 6, 6)


async def test_control_without_it_the_same_gate_lets_a_small_slot_have_the_traffic():
    space = Space(serves=6)

    await gate_of(space)(switch_to("green", "blue"))

    assert space.sizes("green") == (3, 3, 3)


async def test_without_room_the_gate_refuses_and_the_live_service_is_not_touched():
    space = Space(serves=6, room=9)

    with pytest.raises(GateError, match="ML-GATE-212"):
        await gate_of(space, space.capacity(patience_s=5))(switch_to("green", "blue"))
    assert ("service", "model") not in space.patched


async def test_traffic_that_has_moved_already_asks_for_nothing():
    """`mlp rollback` moves it before the update, and an update that was killed may have."""
    space = Space(serves=6)
    space.live("green")

    await gate_of(space, space.capacity())(switch_to("green", "blue"))

    assert space.patched == []


async def test_a_refused_switch_changes_no_size():
    space = Space(serves=6)
    space.objects["service", "model"] = service("blue", BAD)

    with pytest.raises(GateError, match="ML-GATE-209"):
        await gate_of(space, space.capacity())(switch_to("green", "blue"))
    assert space.patched == []


async def test_the_first_release_has_nobody_to_be_as_big_as():
    space = Space(serves=6)
    del space.objects["service", "model"]
    first = switch_to("green", "blue")
    first.old_inputs = None

    await gate_of(space, space.capacity())(first)

    assert space.patched == []


class Silent(Space):
    """Has no answer about autoscalers."""

    def one(self, kind, name):
        if kind == "horizontalpodautoscaler":
            raise SurroundingsError("ML-CLUSTER-020", "the cluster does not answer", "")
        return super().one(kind, name)


async def test_a_cluster_that_cannot_be_asked_stops_the_switch():
    space = Silent(serves=6)

    with pytest.raises(GateError, match=r"ML-GATE-204.*model-green"):
        await gate_of(space, space.capacity())(switch_to("green", "blue"))


SETTINGS = parse({"slots": held(blue="flights-0001", green="flights-0002")}, "staging")


async def test_the_next_update_puts_back_what_was_raised_and_takes_nothing_away_too_early():
    space = Space(serves=6)
    await space.capacity().match("blue", "green")

    put_back(space.capacity(), SETTINGS)
    assert space.sizes("green")[0] == 6
    space.seconds += HOLD_S
    put_back(space.capacity(), SETTINGS)

    assert (space.sizes("green")[0], space.mark("green")) == (SETTINGS.autoscaling.min, None)


def test_an_update_goes_on_without_an_answer(deploy):
    space = Silent(serves=6)

    deploy(lambda: put_back(space.capacity(), SETTINGS))


async def test_after_an_analysis_the_minimum_goes_back_when_the_load_has_shown():
    space = Space(serves=6)
    await space.capacity().match("blue", "green")
    began = space.seconds

    await put_back_after(space.capacity(), "green", 3)

    assert (space.sizes("green")[0], space.mark("green"), space.seconds - began) == (3, None, HOLD_S)


async def test_an_analysis_that_passed_is_not_failed_by_a_cluster_that_does_not_answer():
    space = Silent(serves=6)

    await put_back_after(space.capacity(), "green", 3)

    assert "keeps its minimum until the next update" in space.said[-1]


async def test_the_real_client_library_asks_and_changes_the_same_objects(tmp_path):
    """The paths of the API, the patch's content type, and what a refused patch answers."""
    space = Slots(serves=4)
    space.objects["deployment", "model-green"]["status"]["readyReplicas"] = 4
    with api_server({"ml-x": space}, tmp_path / "kubeconfig"):
        cluster = Cluster(kubeconfig=tmp_path / "kubeconfig", context="c", node_host="127.0.0.1")
        objects = KubernetesObjects(partial(api_client, cluster), "ml-x", "the cluster")
        capacity = Capacity(objects=objects, namespace="ml-x", fix="", say=space.said.append, now=lambda: BEGAN)
        await capacity.match("blue", "green")
        assert space.sizes("green") == (4, 4, 4)
        assert capacity.put_back("green", 3) == HOLD_S


def test_the_program_looks_at_its_start_and_not_in_a_preview(checkout, deploy, monkeypatch):
    checkout.release("flights-0001")
    asked = []
    monkeypatch.setattr("infra.delivery.capacity.put_back", lambda capacity, settings: asked.append(settings.stack))

    for preview in (True, False):
        deploy(
            whole_program,
            config={"slots": held(blue="flights-0001")},
            preview=preview,
        )
        assert asked == [] if preview else ["staging"]


def test_a_stack_without_autoscalers_asks_nobody(deploy, tmp_path, monkeypatch):
    monkeypatch.setattr("infra.delivery.capacity.put_back", lambda *_: pytest.fail("asked"))
    (tmp_path / "kubeconfig").write_text(KUBECONFIG)
    cluster = Cluster(kubeconfig=tmp_path / "kubeconfig", context="test", node_host="127.0.0.1")

    deploy(lambda: put_back_earlier(parse({"autoscaling": '{"enabled": false}'}, "staging"), cluster))


def analysis(seconds, *, enabled=True):
    return AnalysisSettings(enabled=enabled, promise=Promise(seconds=seconds))


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [
        (analysis(60), WARM_S),
        (analysis(900), 900 + SPARE_S),
        (analysis(900, enabled=False), WARM_S),
        (analysis(3600), LONGEST_WINDOW_S),
    ],
)
def test_a_slot_without_load_stays_as_big_for_as_long_as_the_traffic_may_come_back(settings, seconds):
    assert warm_s(settings) == seconds


def test_both_autoscalers_go_up_fast_and_down_slowly(recorded):
    done = recorded(green="flights-0002", analysis='{"seconds": 900}')

    for slot in ("blue", "green"):
        found = done.one("HorizontalPodAutoscaler", f"model-{slot}").inputs
        down, up = found["spec"]["behavior"]["scaleDown"], found["spec"]["behavior"]["scaleUp"]
        assert down["stabilizationWindowSeconds"] == 900 + SPARE_S
        assert down["policies"] == [{"type": "Percent", "value": 10, "periodSeconds": 60}]
        assert up["stabilizationWindowSeconds"] == 0
        assert {"type": "Percent", "value": 100, "periodSeconds": 15} in up["policies"]
        # The configuration takes a field over again that a switch has changed.
        assert found["metadata"]["annotations"] == {"pulumi.com/patchForce": "true"}


@pytest.mark.parametrize(
    ("autoscaling", "hooks"), [("{}", ("autoscaler-minimum-is-back",)), ('{"enabled": false}', ())]
)
def test_the_analysis_is_followed_by_the_minimum(recorded, autoscaling, hooks):
    done = recorded(autoscaling=autoscaling)

    (job,) = [one for one in done.of("Job") if one.name.startswith("analysis")]
    assert job.hooks == hooks
