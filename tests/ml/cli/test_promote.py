import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from ml.cli.promote import promote, rollback
from ml.delivery.traffic import selected
from ml.errors import PipelineError
from ml.release import images, store
from ml.stack import config
from ml.stack.slots import Held
from tests.ml.release.folders import write_release
from tests.ml.release.image_folders import accept_unjudged_debian
from tests.ml.release.signing import pem
from tests.ml.stack.fakes import Namespace, api_server, image

PROD = "# production\nconfig:\n  ml-pipeline:build: false # never\n"


def run(root: Path, *words: str) -> Result:
    app = typer.Typer()
    app.command()(promote)
    app.command()(rollback)
    return CliRunner().invoke(app, [*words, "--root", str(root)])


def refusal(result: Result) -> PipelineError:
    assert isinstance(result.exception, PipelineError), result.output
    return result.exception


def engine(root: Path, *distributions: tuple[str, str]) -> None:
    """A docker client whose images hold these Python distributions and one Debian package."""
    found = [[name, version, "/opt/python"] for name, version in distributions]
    debian = "Package: libc6\nStatus: install ok installed\nVersion: 2.36\n"
    (root / "bin").mkdir(exist_ok=True)
    (root / "bin/answer.json").write_text(json.dumps({"python": found, "debian": debian}))
    (root / "bin/docker").write_text(f"#!/bin/sh\ncat {root}/bin/answer.json\n")
    (root / "bin/docker").chmod(0o755)


@pytest.fixture
def spaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Namespace]]:
    """Staging runs flights-0001 in green, proven."""
    directory = write_release(tmp_path, "flights-0001", accept_unjudged_debian)
    (tmp_path / "images/serving").mkdir(parents=True)
    (tmp_path / "images/serving/requirements.txt").write_text(f"numpy==2.4.6 --hash=sha256:{'a' * 64}\n")
    engine(tmp_path, ("numpy", "2.4.6"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    found = {"ml-staging": Namespace(), "ml-prod": Namespace()}
    digest = json.loads((directory / "record.json").read_bytes())["digest"]
    found["ml-staging"].slot("green", "flights-0001", record_digest=digest)
    found["ml-staging"].live("green")
    found["ml-staging"].platform()
    (tmp_path / "Pulumi.staging.yaml").write_text(
        "config:\n  ml-pipeline:slots: {green: {release: flights-0001}}\n  ml-pipeline:live: green\n"
    )
    (tmp_path / "Pulumi.prod.yaml").write_text(PROD)
    monkeypatch.setenv("MLP_KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.setenv("MLP_SIGNING_KEY", pem())
    # Whether a stack accepts what a release rests on depends on the day; the tests of that give their own.
    monkeypatch.setattr("ml.gate.accepted.refusals", lambda *_: [])
    with api_server(found, tmp_path / "kubeconfig"):
        yield found


def test_promotion_writes_what_is_proven_and_the_images_it_needs(tmp_path: Path, spaces: dict[str, Namespace]) -> None:
    result = run(tmp_path, "promote")

    assert result.exit_code == 0, result.output
    file = config.read(tmp_path, "prod")
    assert file.state.slots == {"blue": Held(release="flights-0001", image=image("serving"))}
    assert file.state.live == "blue"
    assert file.state.images == {name: image(name, "b") for name in ("mlflow", "postgres", "worker")}
    assert "ml-pipeline:build: false # never" in file.text
    assert f"+    blue: {{release: flights-0001, image: {image('serving')}}}" in result.output
    evidence, signature = (f"releases/flights-0001/images/{'a' * 64}{end}" for end in (".json", ".dsse.json"))
    files = f"{evidence} {signature}"
    assert f"next: git add {files} && git commit {files} Pulumi.prod.yaml" in result.output
    scan = json.loads((tmp_path / evidence).read_bytes())["scans"]["image-python"]
    assert (scan["verdict"], scan["scanned_at"][-1]) == ("pass", "Z")
    images.refuse_committed(store.load(tmp_path, "flights-0001"), image("serving"))


def test_without_a_signing_key_nothing_is_scanned_or_edited(
    tmp_path: Path, spaces: dict[str, Namespace], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLP_SIGNING_KEY")
    monkeypatch.setenv("MLP_HOME", str(tmp_path / "home"))
    error = refusal(run(tmp_path, "promote"))

    assert (error.code, "mlp keys create" in str(error)) == ("ML-REL-030", True)
    assert (tmp_path / "Pulumi.prod.yaml").read_text() == PROD
    assert not (tmp_path / "releases/flights-0001/images").exists()


def test_an_image_with_something_else_in_it_is_not_promoted(tmp_path: Path, spaces: dict[str, Namespace]) -> None:
    engine(tmp_path, ("numpy", "2.4.6"), ("evil", "1"))

    assert "evil 1: not in the lock file" in str(refusal(run(tmp_path, "promote")))
    assert (tmp_path / "Pulumi.prod.yaml").read_text() == PROD
    assert not (tmp_path / "releases/flights-0001/images").exists()


def test_promoting_again_changes_nothing(tmp_path: Path, spaces: dict[str, Namespace]) -> None:
    run(tmp_path, "promote")
    before = (tmp_path / "Pulumi.prod.yaml").read_bytes()

    assert "nothing to change" in run(tmp_path, "promote").output
    assert (tmp_path / "Pulumi.prod.yaml").read_bytes() == before


def test_newer_platform_images_follow_the_release(tmp_path: Path, spaces: dict[str, Namespace]) -> None:
    run(tmp_path, "promote")
    spaces["ml-staging"].platform("e")

    run(tmp_path, "promote")

    assert set(config.read(tmp_path, "prod").state.images.values()) == {
        image(name, "e") for name in ("mlflow", "postgres", "worker")
    }


def test_the_next_release_goes_into_prods_idle_slot(tmp_path: Path, spaces: dict[str, Namespace]) -> None:
    run(tmp_path, "promote")
    digest = json.loads((write_release(tmp_path, "flights-0002", accept_unjudged_debian) / "record.json").read_bytes())[
        "digest"
    ]
    spaces["ml-staging"].slot("green", "flights-0002", record_digest=digest, letter="c")

    run(tmp_path, "promote")

    state = config.read(tmp_path, "prod").state
    assert state.live == "green"
    assert state.slots["blue"] == Held(release="flights-0001", image=image("serving"))
    assert state.slots["green"] == Held(release="flights-0002", image=image("serving", "c"))


def test_another_record_than_the_one_that_runs_is_refused(tmp_path: Path, spaces: dict[str, Namespace]) -> None:
    spaces["ml-staging"].slot("green", "flights-0001", record_digest="e" * 64)

    assert refusal(run(tmp_path, "promote")).code == "ML-REL-022"
    assert (tmp_path / "Pulumi.prod.yaml").read_text() == PROD


def test_what_is_not_ready_is_not_promoted(tmp_path: Path, spaces: dict[str, Namespace]) -> None:
    spaces["ml-staging"].objects["deployment", "model-green"]["status"]["readyReplicas"] = 0

    assert refusal(run(tmp_path, "promote")).code == "ML-REL-021"


def test_an_edited_release_is_not_promoted(tmp_path: Path, spaces: dict[str, Namespace]) -> None:
    (tmp_path / "releases/flights-0001/model.onnx").write_bytes(b"other")

    assert refusal(run(tmp_path, "promote")).code == "ML-REL-002"


def test_a_stack_is_not_promoted_to_itself(tmp_path: Path, spaces: dict[str, Namespace]) -> None:
    assert refusal(run(tmp_path, "promote", "--to", "staging")).code == "ML-REL-015"


@pytest.fixture
def two(tmp_path: Path, spaces: dict[str, Namespace]) -> Path:
    """Prod: flights-0002 is live in green, flights-0001 is still in blue."""
    write_release(tmp_path, "flights-0002", lambda r: r.update(created_at="2013-09-01T00:00:00Z"))
    slots = f"{{blue: {{release: flights-0001, image: {image('serving')}}}, green: {{release: flights-0002}}}}"
    (tmp_path / "Pulumi.prod.yaml").write_text(f"config:\n  ml-pipeline:slots: {slots}\n  ml-pipeline:live: green\n")
    return tmp_path


def back(root: Path, *words: str) -> Result:
    return run(root, "rollback", "--stack", "prod", "--config-only", *words)


def test_a_rollback_moves_live_and_a_second_one_does_not_move_it_again(two: Path) -> None:
    assert "+  ml-pipeline:live: blue" in back(two).output
    after = (two / "Pulumi.prod.yaml").read_bytes()

    again = back(two)

    assert (again.exit_code, "nothing to change" in again.output) == (0, True)
    assert (two / "Pulumi.prod.yaml").read_bytes() == after


def test_a_rollback_ends_a_weighted_step_also_where_the_earlier_release_is_live(two: Path) -> None:
    file = two / "Pulumi.prod.yaml"
    step = "  ml-pipeline:canary: {weight: 5}\n"
    for live in ("green", "blue"):
        file.write_text(file.read_text().replace("live: blue", f"live: {live}").replace("weight: 0", "weight: 5"))
        file.write_text(file.read_text() + ("" if "canary" in file.read_text() else step))
        assert config.read(two, "prod").state.weight == 5

        back(two)

        state = config.read(two, "prod").state
        assert (state.live, state.weight) == ("blue", 0)


def test_a_named_release_is_gone_back_to_in_either_direction(two: Path, spaces: dict[str, Namespace]) -> None:
    spaces["ml-prod"].slot("green", "flights-0002", letter="c")
    back(two, "--to", "flights-0001")
    assert config.read(two, "prod").state.live == "blue"

    back(two, "--to", "flights-0002")

    state = config.read(two, "prod").state
    assert (state.live, state.slots["green"].image) == ("green", image("serving", "c"))
    assert refusal(back(two, "--to", "flights-0009")).code == "ML-REL-016"


def test_an_empty_slot_or_a_bad_release_is_no_way_back(two: Path) -> None:
    (two / "releases/flights-0001/model.onnx").write_bytes(b"other")
    assert refusal(back(two)).code == "ML-REL-002"

    (two / "Pulumi.prod.yaml").write_text(
        "config:\n  ml-pipeline:slots: {green: {release: flights-0002}}\n  ml-pipeline:live: green\n"
    )
    error = refusal(back(two))
    assert (error.code, "mlp release stage" in error.fix) == ("ML-REL-011", True)


def test_promotion_refuses_what_rests_on_a_waiver_before_it_edits_anything(
    tmp_path: Path, spaces: dict[str, Namespace], monkeypatch: pytest.MonkeyPatch
) -> None:
    waived = [("scan/dependencies", "the waiver of 'me' until '2027-06-30' names no stacks")]
    asked: list[tuple[str, int]] = []

    def refusals(
        record: object, stack: str, accepted: tuple[object, ...], today: str, also: object
    ) -> list[tuple[str, str]]:
        asked.append((stack, len(accepted)))
        return [] if accepted else waived

    monkeypatch.setattr("ml.gate.accepted.refusals", refusals)
    error = refusal(run(tmp_path, "promote"))

    assert error.code == "ML-GATE-207"
    assert "flights-0001" in error.message
    assert "Pulumi.prod.yaml" in error.fix
    assert (tmp_path / "Pulumi.prod.yaml").read_text() == PROD
    own = "{owner: platform team, reason: looked at by hand, expires: '2026-12-31'}"
    (tmp_path / "Pulumi.prod.yaml").write_text(f"{PROD}  ml-pipeline:acceptWaivers: {{scan/dependencies: {own}}}\n")
    assert run(tmp_path, "promote").exit_code == 0
    assert asked == [("prod", 0), ("prod", 1), ("prod", 1)]


def test_an_acceptance_that_is_none_is_refused_by_every_command(tmp_path: Path, spaces: dict[str, Namespace]) -> None:
    (tmp_path / "Pulumi.prod.yaml").write_text(f"{PROD}  ml-pipeline:acceptWaivers: {{scan/dependencies: yes}}\n")

    error = refusal(run(tmp_path, "promote"))

    assert error.code == "ML-CONF-014"
    assert "acceptWaivers.scan/dependencies" in error.message


def test_a_rollback_moves_the_traffic_first_and_again_changes_nothing(
    two: Path, spaces: dict[str, Namespace], monkeypatch: pytest.MonkeyPatch
) -> None:
    for slot, release in (("blue", "flights-0001"), ("green", "flights-0002")):
        spaces["ml-prod"].slot(slot, release)
    spaces["ml-prod"].live("green")
    seen: list[tuple[object, str]] = []

    def up(root: Path, stack: str) -> None:
        seen.append((selected(spaces["ml-prod"].one("service", "model")), config.read(root, stack).state.live))

    monkeypatch.setattr("ml.stack.commands.up", up)
    monkeypatch.setattr("ml.stack.publish.publish", lambda *_: ["published"])
    first, second = (run(two, "rollback", "--stack", "prod") for _ in range(2))

    assert seen == [("blue", "blue"), ("blue", "blue")]
    assert "slot blue has the traffic again" in first.output
    assert "has the traffic again" not in second.output
    assert (first.exit_code, second.exit_code) == (0, 0)


def test_a_rollback_to_a_slot_without_pods_is_refused_before_anything_moves(
    two: Path, spaces: dict[str, Namespace]
) -> None:
    spaces["ml-prod"].slot("blue", "flights-0001")["status"]["readyReplicas"] = 0
    spaces["ml-prod"].slot("green", "flights-0002")
    spaces["ml-prod"].live("green")
    before = (two / "Pulumi.prod.yaml").read_text()

    assert refusal(run(two, "rollback", "--stack", "prod")).code == "ML-LIVE-001"
    assert selected(spaces["ml-prod"].one("service", "model")) == "green"
    assert (two / "Pulumi.prod.yaml").read_text() == before
