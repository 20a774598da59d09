import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from ml.cli.release import app
from ml.errors import PipelineError
from ml.release import signing
from ml.release.envelope import keyid_of
from ml.release.record import canonical_bytes, seal
from tests.ml.release.folders import write_release
from tests.ml.stack.fakes import Namespace, api_server, image

STAGING = "config:\n  ml-pipeline:slots: {} # empty\n  ml-pipeline:live: blue\n"


def run(root: Path, *words: str) -> Result:
    return CliRunner().invoke(app, [*words, "--root", str(root)])


def refusal(result: Result) -> PipelineError:
    assert isinstance(result.exception, PipelineError), result.output
    return result.exception


@pytest.fixture
def spaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Namespace]]:
    """The cluster that the commands ask."""
    found = {"ml-staging": Namespace(), "ml-prod": Namespace()}
    monkeypatch.setenv("MLP_KUBECONFIG", str(tmp_path / "kubeconfig"))
    with api_server(found, tmp_path / "kubeconfig"):
        yield found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number in (1, 2, 3):
        write_release(tmp_path, f"flights-000{number}")
    (tmp_path / "Pulumi.staging.yaml").write_text(STAGING)
    return tmp_path


def _reseal(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    record = json.loads(path.read_bytes())
    change(record)
    path.write_bytes(canonical_bytes(seal(record)))


def _replace(old: bytes, new: bytes) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        assert old in path.read_bytes()
        path.write_bytes(path.read_bytes().replace(old, new, 1))

    return spoil


ABUSE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a NaN": (_replace(b"0.81", b"NaN"), "ML-REL-101"),
    "an infinity": (_replace(b"0.81", b"1e999"), "ML-REL-102"),
    "empty": (lambda path: path.write_bytes(b""), "ML-REL-101"),
    "an edited byte": (_replace(b"0.81", b"0.82"), "ML-REL-103"),
    "a missing metric": (lambda path: _reseal(path, lambda r: r["metrics"].pop("accuracy")), "ML-REL-114"),
    "a negative metric": (lambda path: _reseal(path, lambda r: r["metrics"].update(accuracy=-1.0)), "ML-REL-114"),
    "verdict fail": (lambda path: _reseal(path, lambda r: r["gate"].update(verdict="fail")), "ML-REL-110"),
    "no checks": (lambda path: _reseal(path, lambda r: r["gate"].update(checks=[])), "ML-REL-111"),
    "a lie": (lambda path: _reseal(path, lambda r: r["metrics"].update(accuracy=0.99)), "ML-REL-115"),
    "another's record": (
        lambda path: path.write_bytes((path.parent.parent / "flights-0002/record.json").read_bytes()),
        "ML-REL-122",
    ),
    "another's model": (lambda path: (path.parent / "model.onnx").write_bytes(b"other"), "ML-REL-121"),
}


@pytest.mark.parametrize("command", ["verify", "stage"])
@pytest.mark.parametrize(("spoil", "code"), ABUSE.values(), ids=ABUSE.keys())
def test_abuse_is_refused_for_its_own_reason_and_nothing_is_staged(
    root: Path, spoil: Callable[[Path], Any], code: str, command: str
) -> None:
    spoil(root / "releases/flights-0001/record.json")

    error = refusal(run(root, command, "flights-0001"))

    assert (error.code, error.exit_code) == ("ML-REL-002", 3)
    assert code in str(error)
    assert (root / "Pulumi.staging.yaml").read_text() == STAGING


def test_a_good_release_verifies(root: Path) -> None:
    result = run(root, "verify", "flights-0001")

    assert (result.exit_code, "verifies and passed" in result.output) == (0, True)


def test_a_release_is_shown_with_its_verdict_first(root: Path) -> None:
    assert run(root, "show", "flights-0001").output.startswith("PASS flights-0001 (against example-0001)")
    assert run(root, "show", "flights-0001", "--markdown").output.startswith("# PASS: flights-0001")
    raw = (root / "releases/flights-0001/record.json").read_text()
    assert json.loads(run(root, "show", "flights-0001", "--json").output) == json.loads(raw)


def test_a_failed_release_is_shown_and_an_edited_one_is_not(root: Path) -> None:
    write_release(root, "flights-0004", lambda r: r["metrics"].update(accuracy="NaN"))
    shown = run(root, "show", "flights-0004").output
    assert shown.startswith("FAIL flights-0004")
    assert "metric-nan: the metric is NaN" in shown

    _replace(b"0.81", b"0.82")(root / "releases/flights-0001/record.json")
    assert refusal(run(root, "show", "flights-0001")).code == "ML-REL-002"


def test_staging_walks_between_the_slots(root: Path, spaces: dict[str, Namespace]) -> None:
    space = spaces["ml-staging"]
    path = root / "Pulumi.staging.yaml"

    assert "+    blue: {release: flights-0001}" in run(root, "stage", "flights-0001").output
    assert "nothing to change" in run(root, "stage", "flights-0001").output
    space.slot("blue", "flights-0001")
    space.live("blue")

    waiting = run(root, "stage", "flights-0002", "--no-live")
    assert f"+    blue: {{release: flights-0001, image: {image('serving')}}}" in waiting.output
    assert "ml-pipeline:live: blue" in path.read_text()

    assert "+  ml-pipeline:live: green" in run(root, "stage", "flights-0002").output
    before = path.read_text()
    assert refusal(run(root, "stage", "flights-0003")).code == "ML-REL-010"
    assert path.read_text() == before

    space.slot("green", "flights-0002")
    space.live("green")
    assert run(root, "stage", "flights-0003").exit_code == 0
    assert "blue: {release: flights-0003}" in path.read_text()


def test_without_a_cluster_staging_says_what_it_could_not_ask(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLP_KUBECONFIG", str(tmp_path / "none"))

    result = run(root, "stage", "flights-0001")

    assert result.exit_code == 0
    assert "the cluster was not asked" in result.output


def test_publishing_an_empty_stack_is_refused(root: Path) -> None:
    assert refusal(run(root, "publish", "--stack", "staging")).code == "ML-REL-014"


def test_without_a_signing_key_nothing_is_trained(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLP_HOME", str(root / "home"))
    monkeypatch.setattr("ml.release.create.create", lambda *_, **__: pytest.fail("trained without a key"))

    error = refusal(run(root, "create", "--through", "2013-06", "--champion", "none"))

    assert error.code == "ML-REL-030"
    assert "mlp keys create" in str(error)


def test_a_release_is_signed_again_by_the_key_of_this_machine(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLP_HOME", str(root / "home"))
    keyid = signing.create(root, root / "home", "me", now=datetime.now(tz=UTC), expires=None).keyid
    (root / "releases/flights-0001/record.dsse.json").unlink()
    assert "ML-REL-130" in str(refusal(run(root, "verify", "flights-0001")))

    assert "git add releases/flights-0001" in run(root, "sign", "flights-0001").output

    assert keyid_of((root / "releases/flights-0001/record.dsse.json").read_bytes()) == keyid
    assert run(root, "verify", "flights-0001").exit_code == 0


def test_a_release_judged_against_another_than_is_live_is_not_staged(root: Path, spaces: dict[str, Namespace]) -> None:
    def without_champion(fields: dict[str, Any]) -> None:
        fields["champion"] = None

    write_release(root, "flights-0004", without_champion)
    run(root, "stage", "flights-0003")
    before = (root / "Pulumi.staging.yaml").read_text()

    assert refusal(run(root, "stage", "flights-0004")).code == "ML-REL-140"
    assert refusal(run(root, "stage", "flights-0004", "--no-live")).code == "ML-REL-140"
    assert (root / "Pulumi.staging.yaml").read_text() == before


def test_two_releases_are_compared_as_a_table_and_as_markdown(root: Path) -> None:
    write_release(root, "flights-0004", lambda r: r["metrics"].update(accuracy=0.85))

    assert "+0.04 better" in run(root, "diff", "flights-0003", "flights-0004").output
    lines = run(root, "diff", "flights-0003", "flights-0004", "--markdown").output.splitlines()
    assert lines[0] == "| section | what | `flights-0003` | `flights-0004` | change |"
    assert "| metrics | accuracy | 0.81 | 0.85 | +0.04 better |" in lines
    assert "do not differ" in run(root, "diff", "flights-0003", "flights-0003").output


def test_an_edited_release_is_neither_compared_nor_reported(root: Path) -> None:
    assert "releases/flights-0001/report.html" in run(root, "report", "flights-0001").output

    (root / "releases/flights-0001/model.onnx").write_bytes(b"other")

    assert refusal(run(root, "diff", "flights-0001", "flights-0002")).code == "ML-REL-002"
    assert refusal(run(root, "report", "flights-0001")).code == "ML-REL-002"
