import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ml.security.dependencies import CANARY, OSV_URL, scan_dependencies
from ml.security.result import Run, run_tool
from ml.security.subjects import LOCK
from tests.ml.security.checkout import NOW, TODAY, answers


def package(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, **more}


SAFE = package("numpy", version="2.4.6", vulns=[])
ALSO_SAFE = package("ruamel-yaml", version="0.19.1", vulns=[])
SKIPPED = package("ruamel-yaml", skip_reason="Dependency not found")
VULNERABLE = package("numpy", version="2.4.6", vulns=[{"id": "PYSEC-1", "fix_versions": ["2.5"]}])
KNOWN = package(CANARY[0], version=CANARY[1], vulns=[{"id": "PYSEC-2021-98", "fix_versions": ["3.2.1"]}])
UNKNOWN = {**KNOWN, "vulns": []}


@pytest.mark.parametrize(
    ("found", "verdict", "covered", "reason"),
    [
        ([SAFE, ALSO_SAFE, KNOWN], "pass", 2, "no known vulnerability in 2"),
        ([SAFE, ALSO_SAFE, UNKNOWN], "incomplete", 0, "does not know the vulnerabilities of django 3.2"),
        ([SAFE, ALSO_SAFE], "incomplete", 0, "does not know the vulnerabilities"),
        ([SKIPPED, {**SKIPPED, "name": "numpy"}], "incomplete", 0, "no advisory data: all 2 packages were skipped"),
        ([SAFE, SKIPPED, KNOWN], "incomplete", 1, "1 of 2"),
        ([SAFE, {**ALSO_SAFE, "version": "0.1"}, KNOWN], "incomplete", 1, "1 of 2"),
        ([VULNERABLE, SKIPPED], "fail", 1, "1 known"),
        ([KNOWN], "incomplete", 0, "no advisory data"),
        ([], "incomplete", 0, "no advisory data"),
    ],
)
def test_the_audit_counts_what_it_covered(
    root: Path, found: list[dict[str, Any]], verdict: str, covered: int, reason: str
) -> None:
    scan = scan_dependencies(root, LOCK, root / "kept", NOW, answers({"dependencies": found}))

    assert (scan.verdict, scan.covered, scan.total) == (verdict, covered, 2)
    assert reason in scan.reason
    assert bool(scan.findings) == (verdict == "fail")
    assert scan.database_date == (TODAY if covered else None)


@pytest.mark.parametrize(
    "run", [answers("", None, error="did not end within 90 s"), answers("Traceback", 1), answers("[]")]
)
def test_an_audit_without_a_report_is_incomplete_and_asked_again(root: Path, run: Run) -> None:
    scan = scan_dependencies(root, LOCK, root / "kept", NOW, run)

    assert (scan.verdict, scan.covered, scan.database_date) == ("incomplete", 0, None)
    assert not list((root / "kept").glob("*.json"))


def test_one_audit_a_day_lock_file_and_source(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Sequence[str]] = []
    run = answers({"dependencies": [SAFE, SKIPPED, KNOWN]}, asked=asked)
    first = scan_dependencies(root, LOCK, root / "kept", NOW, run)
    assert scan_dependencies(root, LOCK, root / "kept", NOW + timedelta(hours=3), run) == first
    assert first.scanned_at == "2026-01-31T12:00:00Z"
    assert len(asked) == 1

    scan_dependencies(root, LOCK, root / "kept", NOW + timedelta(days=1), run)
    (root / LOCK).write_text("numpy==2.4.7\n")
    scan_dependencies(root, LOCK, root / "kept", NOW + timedelta(days=1), run)
    monkeypatch.setenv(OSV_URL, "http://127.0.0.1:9/query")
    scan_dependencies(root, LOCK, root / "kept", NOW + timedelta(days=1), run)
    assert len(asked) == 4
    assert "--osv-url" in asked[-1]


class Advisories(BaseHTTPRequestHandler):
    """An OSV mirror that knows what stands in `known`."""

    known: Mapping[str, str] = {}

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["package"]["name"]
        entry = {
            "id": self.known.get(asked, ""),
            "modified": "2026-01-01T00:00:00Z",
            "details": "bad",
            "affected": [
                {
                    "package": {"name": asked, "ecosystem": "PyPI"},
                    "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "9.9"}]}],
                }
            ],
        }
        body = json.dumps({"vulns": [entry]} if asked in self.known else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return None


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Advisories]]:
    """A mirror that `pip-audit` is pointed to; a test says what it knows."""

    class Handler(Advisories):
        pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv(OSV_URL, f"http://127.0.0.1:{server.server_port}/v1/query")
    yield Handler
    server.shutdown()
    server.server_close()


@pytest.mark.integration
@pytest.mark.parametrize(
    ("known", "verdict", "reason"),
    [
        ({"django": "PYSEC-2021-98"}, "pass", "no known vulnerability in 2 packages"),
        ({"django": "PYSEC-2021-98", "ruamel-yaml": "PYSEC-7"}, "fail", "1 known vulnerabilities"),
        ({}, "incomplete", "does not know the vulnerabilities of django 3.2"),
    ],
)
def test_the_real_tool_asks_a_mirror_and_a_mirror_that_knows_nothing_is_no_pass(
    root: Path, mirror: type[Advisories], known: dict[str, str], verdict: str, reason: str
) -> None:
    mirror.known = known

    scan = scan_dependencies(root, LOCK, root / "kept", NOW, run_tool)

    assert (scan.verdict, reason in scan.reason) == (verdict, True), scan
    assert any("ruamel-yaml 0.19.1: PYSEC-7, fixed in 9.9" in line for line in scan.findings) == (verdict == "fail")
