"""The state file is damaged in every way: it is refused, one command restores it, and nothing is made twice."""

import itertools
import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.e2e.bench import Bench
from tests.e2e.drills import UP
from tests.e2e.matrix.rows import RUNS, row
from tests.e2e.updates import configured, orphans

pytestmark = pytest.mark.e2e

RESTORED_WITHIN_S = 120
DAMAGES: Mapping[str, Callable[[bytes], bytes]] = {
    "cut off": lambda content: content[: len(content) // 2],
    "empty": lambda _: b"",
    "a bit of a brace": lambda content: bytes([content[0] ^ 1]) + content[1:],
}


def test_row_17_the_state_is_damaged(bench: Bench) -> None:
    with row(17, "the state file is cut off, empty, has a flipped bit; and bits flipped anywhere") as result:
        bench.settle()
        file = bench.machine.home / "state" / ".pulumi" / "stacks" / "ml-pipeline" / "staging.json"
        with bench.clients() as clients:
            damages = dict(itertools.islice(DAMAGES.items(), max(RUNS // 3, 1)))
            took = {name: _restored_s(bench, file, damage) for name, damage in damages.items()}
            flips = [_flipped(bench, file, seed) for seed in range(RUNS // 4)]
            again = bench.machine.run(*UP, "--expect-no-changes", check=False, timeout_s=300)
        result.facts |= {"restored_and_up_s": took, "flips_refused": flips.count("refused"), "flips": len(flips)}

        result.control("each damage was refused first", len(took) == len(damages), list(took))
        assert max(took.values()) <= RESTORED_WITHIN_S
        assert again.returncode == 0, again.stdout[-2000:]
        assert orphans(bench.machine) == set()
        assert bench.live() == configured(bench.machine)
        result.lost_nothing(clients.seen)


def _restored_s(bench: Bench, file: Path, damage: Callable[[bytes], bytes]) -> float:
    """Refused by what people type, then restored; how long the two commands took."""
    file.write_bytes(damage(file.read_bytes()))
    refused = bench.machine.run("make", "up", check=False, timeout_s=300)
    assert refused.returncode != 0
    assert "ML-HOST-017" in refused.stdout, refused.stdout[-2000:]
    started = time.monotonic()
    bench.machine.run("mlp", "state", "restore", "--stack", "staging")
    bench.up()
    return round(time.monotonic() - started, 1)


def _flipped(bench: Bench, file: Path, seed: int) -> str:
    """One bit anywhere. Where it leaves a whole checkpoint, refresh and update must end well, or refuse."""
    draw, content = random.Random(seed), bytearray(file.read_bytes())  # noqa: S311  (a place of a drill)
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    file.write_bytes(content)
    before = file.read_bytes()
    if bench.machine.run("mlp", "state", "check", "--stack", "staging", check=False).returncode:
        bench.machine.run("mlp", "state", "restore", "--stack", "staging")
        verdict = "refused"
    else:
        update = bench.machine.run(*UP, "--refresh", check=False, timeout_s=300)
        verdict = "mended" if update.returncode == 0 else "refused"
        if update.returncode:
            file.write_bytes(before[:10])
            bench.machine.run("mlp", "state", "restore", "--stack", "staging")
    assert bench.live() == configured(bench.machine), f"seed {seed}"
    return verdict
