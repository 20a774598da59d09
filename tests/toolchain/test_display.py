"""Progress for people and for logs."""

import io
import time

import pytest

from toolchain.display import Display, duration


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(out: io.StringIO, text: str, times: int = 1) -> None:
    """Wait until it says so; ten seconds at most."""
    for _ in range(1000):
        if out.getvalue().count(text) >= times:
            return
        time.sleep(0.01)
    pytest.fail(f"after ten seconds {text!r} is not there {times} times: {out.getvalue()!r}")


def test_a_log_gets_a_line_at_the_start_now_and_then_and_at_the_end() -> None:
    out = io.StringIO()

    with Display(out, interval_s=0.1).task("pulumi", "building") as task:
        shown(out, "building", times=2)
        task.done("built")

    lines = out.getvalue().splitlines()
    assert lines[0].split() == ["pulumi", "building"]
    assert lines[-1].split()[:2] == ["pulumi", "built"]
    assert len(lines) >= 3
    assert "\x1b" not in out.getvalue()


def test_a_terminal_is_drawn_in_place() -> None:
    out = Terminal()

    with Display(out).task("pulumi", "building") as task:
        shown(out, "\x1b[1A\x1b[J")
        task.done("built")

    assert "\x1b[1A\x1b[J" in out.getvalue()
    assert out.getvalue().splitlines()[-1].endswith("built (0 s)")


def test_a_failure_is_shown_as_one() -> None:
    out = io.StringIO()

    with pytest.raises(ValueError, match="no"), Display(out).task("etcd", "starting"):
        raise ValueError("no")

    assert "etcd" in out.getvalue().splitlines()[-1]
    assert "failed" in out.getvalue().splitlines()[-1]


@pytest.mark.parametrize(("seconds", "words"), [(0, "0 s"), (59.9, "59 s"), (60, "1 min 00 s"), (3725, "62 min 05 s")])
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words
