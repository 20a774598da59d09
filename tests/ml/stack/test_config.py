from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.errors import ConfigError
from ml.stack import config
from ml.stack.slots import Held, State

IMAGE = "127.0.0.1:5000/ml-pipeline/serving@sha256:" + "a" * 64
TEXT = """\
# What staging differs in.
encryptionsalt: v1:abc=
config:
  # which release is where
  ml-pipeline:slots:
    blue: {release: flights-0001} # the first
  ml-pipeline:live: blue # takes the traffic

  ml-pipeline:serviceType: "NodePort"
  ml-pipeline:nodePorts: {live: 30080, preview: 30081}
  ml-pipeline:replicas: 1
  # the end
"""


def file_of(root: Path, text: str, stack: str = "staging") -> config.StackFile:
    (root / f"Pulumi.{stack}.yaml").write_text(text)
    return config.read(root, stack)


def state(live: str = "blue", images: dict[str, str] | None = None, **slots: Held) -> State:
    return State(slots=slots, live=live, images=images or {})  # type: ignore[arg-type]


def test_the_file_says_what_each_slot_holds(tmp_path: Path) -> None:
    file = file_of(tmp_path, TEXT + "  ml-pipeline:kubeContext: prod-eu\n")

    assert file.state == state(blue=Held(release="flights-0001"))
    assert file.kube_context == "prod-eu"


ROUTED = "  ml-pipeline:canary: {gateway: public, gatewayNamespace: gw, hostname: a.example, weight: 5} # a step\n"


def test_the_weight_of_a_route_is_read_and_changed_in_place(tmp_path: Path) -> None:
    file = file_of(tmp_path, TEXT + ROUTED)

    text = config.render(file, replace(file.state, weight=0))

    assert file.state.weight == 5
    assert text == TEXT + ROUTED.replace("weight: 5", "weight: 0")


@pytest.mark.parametrize("canary", ["{}", "{weight: five}", "{weight: true}", "[]"])
def test_a_weight_that_is_none_is_nought_and_stays_what_it_is(tmp_path: Path, canary: str) -> None:
    file = file_of(tmp_path, f"{TEXT}  ml-pipeline:canary: {canary}\n")

    assert file.state.weight == 0
    assert "canary" not in config.difference(file, config.render(file, replace(file.state, live="green")))


def test_a_change_touches_its_own_lines_only(tmp_path: Path) -> None:
    file = file_of(tmp_path, TEXT)
    after = state("green", blue=Held(release="flights-0001", image=IMAGE), green=Held(release="flights-0002"))

    text = config.render(file, after)

    removed = {line[1:] for line in config.difference(file, text).splitlines()[2:] if line[0] == "-"}
    added = {line[1:] for line in config.difference(file, text).splitlines()[2:] if line[0] == "+"}
    assert removed == {"    blue: {release: flights-0001} # the first", "  ml-pipeline:live: blue # takes the traffic"}
    assert added == {
        f"    blue: {{release: flights-0001, image: {IMAGE}}} # the first",
        "    green: {release: flights-0002}",
        "  ml-pipeline:live: green # takes the traffic",
    }
    assert set(TEXT.splitlines()) - removed <= set(text.splitlines())


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    file = file_of(tmp_path, TEXT)
    after = state(
        "green", {"worker": IMAGE}, blue=Held(release="flights-0001", image=IMAGE), green=Held(release="x-0002")
    )

    config.write(file, config.render(file, after))

    assert config.read(tmp_path, "staging").state == after
    assert [path.name for path in tmp_path.iterdir()] == ["Pulumi.staging.yaml"]


@pytest.mark.parametrize(
    "text",
    ["", "config: {}\n", "config:\n  ml-pipeline:slots: {}\n", "config:\n  aws:region: eu\n", "encryptionsalt: x\n"],
)
def test_an_empty_stack_gets_its_first_release(tmp_path: Path, text: str) -> None:
    file = file_of(tmp_path, text)
    after = state(blue=Held(release="flights-0001", image=IMAGE))

    config.write(file, config.render(file, after))

    assert config.read(tmp_path, "staging").state == after


def test_no_change_keeps_every_byte(tmp_path: Path) -> None:
    odd = "config:\n    'ml-pipeline:live':   green\n    ml-pipeline:slots: {green:   {release: flights-0001}}\n"
    file = file_of(tmp_path, odd)

    assert config.render(file, file.state) == odd
    assert config.difference(file, odd) == ""


@given(live=st.sampled_from(["blue", "green"]), both=st.booleans(), built=st.booleans())
def test_any_state_survives_the_file(
    tmp_path_factory: pytest.TempPathFactory, *, live: str, both: bool, built: bool
) -> None:
    slots = {live: Held(release="flights-0003", image=IMAGE if built else None)}
    if both:
        slots["green" if live == "blue" else "blue"] = Held(release="flights-0002")
    file = file_of(tmp_path_factory.mktemp("stack"), "config:\n  ml-pipeline:replicas: 3 # few\n")

    config.write(file, config.render(file, state(live, **slots)))

    again = config.read(file.path.parent, "staging")
    assert again.state == state(live, **slots)
    assert "ml-pipeline:replicas: 3 # few" in again.text


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("config: [\n", "ML-CONF-013"),
        ("- a\n", "ML-CONF-013"),
        ("config: 3\n", "ML-CONF-013"),
        ("config:\n  ml-pipeline:live: teal\n", "ML-CONF-014"),
        ("config:\n  ml-pipeline:slots: 3\n", "ML-CONF-014"),
        ("config:\n  ml-pipeline:slots: {teal: {release: a-0001}}\n", "ML-CONF-014"),
        ("config:\n  ml-pipeline:slots: {blue: {image: x}}\n", "ML-CONF-014"),
        ("config:\n  ml-pipeline:slots: {blue: {release: a-0001, image: a:latest}}\n", "ML-CONF-014"),
        ("config:\n  ml-pipeline:images: [a]\n", "ML-CONF-014"),
        ("config:\n  a: 1\n  a: 2\n", "ML-CONF-013"),
    ],
)
def test_a_file_that_makes_no_sense_is_one_clear_error(tmp_path: Path, text: str, code: str) -> None:
    with pytest.raises(ConfigError) as refused:
        file_of(tmp_path, text)
    assert refused.value.code == code


def test_an_unknown_stack_names_those_that_exist(tmp_path: Path) -> None:
    file_of(tmp_path, TEXT)

    with pytest.raises(ConfigError, match="staging"):
        config.read(tmp_path, "prod")
    with pytest.raises(ConfigError, match="ML-CONF-011"):
        config.read(tmp_path, "../prod")
