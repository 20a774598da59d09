"""Tools from an empty machine's view: real processes, a `go` that hangs, fails or fills the disk."""

import gzip
import hashlib
import http.server
import io
import os
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkout import Checkout, kill, make

pytestmark = pytest.mark.integration

SCRIPT = b"#!/bin/sh\necho version 1.0.0\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return make(tmp_path)


@pytest.fixture
def release() -> Iterator["Release"]:
    server = Release()
    yield server
    server.shutdown()
    server.server_close()


class Release(http.server.ThreadingHTTPServer):
    """Serves any `/NAME.tar.gz` with the program NAME in it; counts requests."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.asked: list[str] = []
        self.hang_up = False
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @staticmethod
    def archive(name: str) -> bytes:
        out = io.BytesIO()
        with gzip.GzipFile(fileobj=out, mode="wb", mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as tar:
            entry = tarfile.TarInfo(f"release-1.0.0/{name}")
            entry.size = len(SCRIPT)
            tar.addfile(entry, io.BytesIO(SCRIPT))
        return out.getvalue()


class Answer(http.server.BaseHTTPRequestHandler):
    server: Release

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class names it)
        pass

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        if self.server.hang_up:
            self.connection.close()
            return
        body = self.server.archive(self.path.strip("/").split(".")[0])
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def downloads(url: str, member: str = "one", sha256: str = "") -> str:
    line = f'{{url = "{url}", members = ["{member}"], sha256 = "{sha256}"}}'
    return f"download = [{line}]"


def test_a_tool_is_built_once_and_linked(checkout: Checkout) -> None:
    said = checkout.ensure("one", "two")
    checkout.ensure("one", "two")

    assert len(checkout.calls()) == 2
    assert "1.0.0: built" in said
    assert checkout.link("one").resolve().parent.parent == (checkout.cache / "tools").resolve()
    assert "-X main.version=1.0.0" in checkout.calls()[0]


def test_a_second_checkout_builds_nothing(checkout: Checkout, tmp_path: Path) -> None:
    checkout.ensure("one")
    (tmp_path / "second").mkdir()
    other = make(tmp_path / "second")
    other.env["MLP_CACHE"] = checkout.env["MLP_CACHE"]

    said = other.ensure("one")

    assert "in the cache" in said
    assert other.calls() == []
    assert other.link("one").exists()


def test_a_changed_module_or_pin_is_built_again(checkout: Checkout) -> None:
    checkout.ensure("one")
    (checkout.root / "toolchain/tools/one/go.mod").write_text("module one // changed\n")
    checkout.ensure("one")
    checkout.pins(extra="build_minutes = 7.0")

    checkout.ensure("one")

    assert len(checkout.calls()) == 3


def test_a_kill_in_the_middle_leaves_nothing_that_looks_finished(checkout: Checkout) -> None:
    checkout.mode("hang")
    process = checkout.start("one")
    deadline = time.monotonic() + 30
    while not (checkout.go / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.02)

    kill(process)

    left = [path.name for path in (checkout.cache / "tools").iterdir()]
    assert all(name.startswith(".") for name in left)
    assert not checkout.link("one").exists()
    checkout.mode("ok")
    checkout.ensure("one")
    assert [path.name for path in (checkout.cache / "tools").iterdir() if path.name.startswith(".")] == []


def test_a_build_that_outlives_its_bootstrap_keeps_the_compiler_to_itself(checkout: Checkout) -> None:
    checkout.mode("hang")
    process = checkout.start("one")
    deadline = time.monotonic() + 30
    while not (checkout.go / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    group = os.getpgid(process.pid)
    process.kill()  # the bootstrap alone; its `go` lives on
    process.wait()
    checkout.mode("ok")

    second = checkout.start("one")
    time.sleep(1.5)
    waiting = second.poll() is None
    os.killpg(group, 9)
    process.communicate()
    said, _ = second.communicate(timeout=30)

    assert waiting
    assert second.returncode == 0, said
    assert f"waiting for a Go build of process {process.pid}" in said


def test_two_at_once_build_once(checkout: Checkout) -> None:
    checkout.mode("slow")

    both = [checkout.start("one"), checkout.start("one")]
    said = [process.communicate(timeout=60)[0] for process in both]

    assert [process.returncode for process in both] == [0, 0], said
    assert len(checkout.calls()) == 1


def test_progress_names_what_runs_and_for_how_long(checkout: Checkout) -> None:
    checkout.mode("slow")

    said = checkout.ensure("one")

    assert any(line.strip().startswith("one") and "building 1.0.0 with Go" in line and " s)" in line
               for line in said.splitlines())  # fmt: skip
    assert "\x1b" not in said


def test_a_failed_build_shows_the_log_and_its_last_lines(checkout: Checkout) -> None:
    checkout.mode("fail")

    said = checkout.ensure("one", code=6)

    assert "ML-TOOL-001" in said
    assert str(checkout.cache / "logs" / "one.log") in said
    assert "syntax error: unexpected newline" in said
    assert "    40\n" in said
    assert "    20\n" not in said
    assert "Traceback" not in said


def test_a_full_disk_is_one_clear_message(checkout: Checkout) -> None:
    checkout.mode("full")

    said = checkout.ensure("one", code=6)

    assert "ML-HOST-004" in said
    assert "15 GB" in said


def test_a_wrong_binary_is_not_kept(checkout: Checkout) -> None:
    checkout.mode("wrong")

    said = checkout.ensure("one", code=6)

    assert "does not answer with version 1.0.0" in said
    assert not checkout.link("one").exists()


def test_without_go_and_without_internet_every_source_is_named(checkout: Checkout) -> None:
    checkout.pins('"path", "download", "go"', downloads("http://127.0.0.1:1/{version}.tar.gz"))
    checkout.env["PATH"] = "/usr/bin:/bin"
    started = time.monotonic()

    said = checkout.ensure("one", code=6)

    assert "ML-TOOL-002: cannot get one 1.0.0" in said
    assert "path: none with version 1.0.0" in said
    assert "download: 127.0.0.1:1" in said
    assert "go: there is no `go` on PATH" in said
    assert "install Go" in said
    assert time.monotonic() - started < 10


def test_the_pinned_version_on_path_is_taken(checkout: Checkout, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "one").write_bytes(SCRIPT)
    (theirs / "one").chmod(0o755)
    checkout.pins('"path", "go"')
    checkout.env["PATH"] = f"{theirs}:{checkout.env['PATH']}"

    checkout.ensure("one")

    assert checkout.calls() == []
    assert checkout.link("one").resolve() == (theirs / "one").resolve()


@pytest.mark.parametrize("version", ["1.0.1", "1.0.0-dev", "11.0.0", "1.0.0.1"])
def test_another_version_on_path_is_not(checkout: Checkout, tmp_path: Path, version: str) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "one").write_text(f"#!/bin/sh\necho version {version}\n")
    (theirs / "one").chmod(0o755)
    checkout.pins('"path", "go"')
    checkout.env["PATH"] = f"{theirs}:{checkout.env['PATH']}"

    checkout.ensure("one")

    assert len(checkout.calls()) == 1


def test_an_official_release_is_downloaded_and_checked(checkout: Checkout, release: Release) -> None:
    good = hashlib.sha256(release.archive("one")).hexdigest()
    checkout.pins('"download", "go"', downloads(f"{release.url}/one.tar.gz", sha256=good))

    said = checkout.ensure("one")

    assert "downloaded" in said
    assert checkout.calls() == []
    assert checkout.link("one").read_bytes() == SCRIPT


def test_a_download_with_another_hash_is_not_used(checkout: Checkout, release: Release) -> None:
    checkout.pins('"download", "go"', downloads(f"{release.url}/one.tar.gz", sha256="0" * 64))

    checkout.ensure("one")

    assert release.asked == ["/one.tar.gz"]
    assert len(checkout.calls()) == 1


def test_a_host_that_refuses_is_asked_once(checkout: Checkout, release: Release) -> None:
    release.hang_up = True
    # One tool after the other: side by side, both may ask before the first refusal is known.
    checkout.pins('"download", "go"', downloads(f"{release.url}/one.tar.gz") + '\nbeside = "pulumi"')

    checkout.ensure("one", "two")

    assert len(release.asked) == 1


def test_an_unknown_tool_is_named(checkout: Checkout) -> None:
    assert "ML-TOOL-003: no tool 'three'" in checkout.ensure("three", code=6)
