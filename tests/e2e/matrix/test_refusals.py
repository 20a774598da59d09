"""Releases that must not get in: one that the gate failed, one that a stranger signed. The cluster stays as it is."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner

from ml.gate.judge import evidence_of, judge, section
from ml.release.record import canonical_bytes, seal
from ml.release.signature import SIGNATURE, sign
from ml.release.signing import signer
from tests.e2e.bench import Bench
from tests.e2e.drills import UP
from tests.e2e.matrix.rows import Row, row
from tests.e2e.reads import resource_versions
from tests.e2e.two_releases import SECOND

pytestmark = pytest.mark.e2e

WEAK, BELOW_THE_FLOOR = "flights-0030", 0.6


@pytest.mark.smoke
def test_row_04_a_model_below_the_gate(bench: Bench) -> None:
    with row(4, f"a release whose accuracy is {BELOW_THE_FLOOR}, honestly recorded and signed") as result:
        bench.settle("blue")
        with _weak(bench) as folder, bench.other_settings() as settings:
            verdict = json.loads((folder / "record.json").read_text())["gate"]["verdict"]
            settings.write_text(settings.read_text().replace(SECOND, WEAK))
            _refused(bench, result, WEAK)
        result.control("the gate had failed it", verdict == "fail", verdict)


@pytest.mark.smoke
def test_row_21_signed_by_the_wrong_key(bench: Bench) -> None:
    with row(21, "a release signed by a key that nobody trusts") as result:
        folder = bench.machine.clone / "releases" / SECOND
        good, stranger = (folder / SIGNATURE).read_bytes(), CryptoSigner.generate_ed25519()
        result.control("with its own signature it verifies", _verify(bench, SECOND) == 0)
        try:
            (folder / SIGNATURE).write_bytes(sign((folder / "record.json").read_bytes(), stranger))
            said = _refused(bench, result, SECOND)
        finally:
            (folder / SIGNATURE).write_bytes(good)
        assert stranger.public_key.keyid[:12] in said, said[-2000:]
        result.control("and again afterwards", _verify(bench, SECOND) == 0)


def _refused(bench: Bench, result: Row, release: str) -> str:
    """By the command, by the preview with the pack and by an update without it; what they said."""
    before = resource_versions(bench.machine)
    plain = ("env", "-u", "PULUMI_OPTION_POLICY_PACK", *UP)
    ways = {
        "mlp release verify": ("mlp", "release", "verify", release),
        "pulumi preview": ("pulumi", "preview", "--stack", "staging", "--policy-pack", "policies"),
        "pulumi up without the pack": plain,
    }
    with bench.clients() as clients:
        done = {name: bench.machine.run(*command, check=False) for name, command in ways.items()}
    for name, one in done.items():
        assert one.returncode != 0, f"{name}: {one.stdout[-2000:]}"
        assert "ML-" in one.stdout, f"{name}: {one.stdout[-2000:]}"
    result.facts["exit_codes"] = {name: one.returncode for name, one in done.items()}
    assert resource_versions(bench.machine) == before, "nothing in the cluster changed"
    result.lost_nothing(clients.seen)
    return "".join(one.stdout for one in done.values())


def _verify(bench: Bench, release: str) -> int:
    return bench.machine.run("mlp", "release", "verify", release, check=False).returncode


@contextmanager
def _weak(bench: Bench) -> Iterator[Path]:
    """A release like the second one, but with an accuracy below the floor, judged and signed as it should be."""
    clone = bench.machine.clone
    folder = clone / "releases" / WEAK
    shutil.copytree(clone / "releases" / SECOND, folder)
    record = json.loads((folder / "record.json").read_bytes())
    fields = {name: value for name, value in record.items() if name != "digest"}
    fields |= {"release": WEAK, "metrics": record["metrics"] | {"accuracy": BELOW_THE_FLOOR}}
    policy = record["gate"]["policy"]
    raw = canonical_bytes(seal(fields | {"gate": section(judge(evidence_of(fields), policy), policy)}))
    (folder / "record.json").write_bytes(raw)
    key = signer(clone, bench.machine.home, {}, now=datetime.now(tz=UTC))
    (folder / SIGNATURE).write_bytes(sign(raw, key))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
