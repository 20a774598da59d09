import json
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from ml.errors import SurroundingsError, UsageError
from ml.gate.policy import load
from ml.security.code import scan_code
from ml.security.dependencies import scan_dependencies
from ml.security.image import scan_image
from ml.security.locks import pins
from ml.security.model_files import scan_model_files
from ml.security.result import MAX_FINDINGS, Answer, Run, Scan, run_tool, shortened
from ml.security.run import scan_all, unanswered
from ml.security.sbom import scan_sbom

TODAY = "2026-01-31"
LOCK = """\
# a comment
NumPy==2.4.6 \\
    --hash=sha256:aa
ruamel.yaml[jinja2]==0.19.1 ; python_version > '3'
    # via x==9
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "requirements.txt").write_text(LOCK)
    serving = tmp_path / "images/serving"
    serving.mkdir(parents=True)
    (serving / "requirements.txt").write_text("numpy==2.4.6 \\\n    --hash=sha256:" + "a" * 64 + "\n")
    (tmp_path / "ml").mkdir()
    (tmp_path / "ml/fine.py").write_text("A = 1\n")
    return tmp_path


def answers(stdout: Any, exit_code: int | None = 0, asked: list[Sequence[str]] | None = None, error: str = "") -> Run:
    def run(command: Sequence[str], limit_s: float) -> Answer:
        if asked is not None:
            asked.append(command)
        text = stdout if isinstance(stdout, str) else json.dumps(stdout)
        return Answer(exit_code=exit_code, stdout=text, error=error)

    return run


def test_pins_are_read_with_names_that_compare(root: Path) -> None:
    assert pins(root / "requirements.txt") == {"numpy": "2.4.6", "ruamel-yaml": "0.19.1"}


def package(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, **more}


SAFE = package("numpy", version="2.4.6", vulns=[])
SKIPPED = package("ruamel-yaml", skip_reason="Dependency not found")
VULNERABLE = package("numpy", version="2.4.6", vulns=[{"id": "PYSEC-1", "fix_versions": ["2.5"]}])


@pytest.mark.parametrize(
    ("found", "verdict", "covered", "reason"),
    [
        ([SAFE, {**SAFE, "name": "ruamel-yaml"}], "pass", 2, "no known vulnerability in 2"),
        ([SKIPPED, {**SKIPPED, "name": "numpy"}], "incomplete", 0, "no advisory data: all 2 packages were skipped"),
        ([SAFE, SKIPPED], "incomplete", 1, "1 of 2"),
        ([VULNERABLE, SKIPPED], "fail", 1, "1 known"),
        ([], "incomplete", 0, "no advisory data"),
    ],
)
def test_the_audit_counts_what_it_covered(
    root: Path, found: list[dict[str, Any]], verdict: str, covered: int, reason: str
) -> None:
    run = answers({"dependencies": found})

    scan = scan_dependencies(root, root / "requirements.txt", root / "kept", TODAY, run)

    assert (scan.verdict, scan.covered, scan.total) == (verdict, covered, 2)
    assert reason in scan.reason
    assert bool(scan.findings) == (verdict == "fail")


@pytest.mark.parametrize(
    "run", [answers("", None, error="did not end within 90 s"), answers("Traceback", 1), answers("[]")]
)
def test_an_audit_without_a_report_is_incomplete_and_asked_again(root: Path, run: Run) -> None:
    scan = scan_dependencies(root, root / "requirements.txt", root / "kept", TODAY, run)

    assert (scan.verdict, scan.covered) == ("incomplete", 0)
    assert not (root / "kept").exists()


def test_one_audit_a_day_and_lock_file(root: Path) -> None:
    asked: list[Sequence[str]] = []
    run = answers({"dependencies": [SAFE, SKIPPED]}, asked=asked)
    lock = root / "requirements.txt"

    first = scan_dependencies(root, lock, root / "kept", TODAY, run)
    assert scan_dependencies(root, lock, root / "kept", TODAY, run) == first
    assert len(asked) == 1

    scan_dependencies(root, lock, root / "kept", "2026-02-01", run)
    lock.write_text("numpy==2.4.7\n")
    scan_dependencies(root, lock, root / "kept", "2026-02-01", run)
    assert len(asked) == 3


@pytest.mark.parametrize(
    ("line", "verdict"),
    [
        ("import pickle\n\ndef f(x):\n    return pickle.loads(x)\n", "fail"),
        ("import pickle\n\ndef f(x):\n    return pickle.loads(x)  # noqa: S301  (our own bytes)\n", "pass"),
        ("import pickle\n\ndef f(x):\n    return pickle.loads(x)  # noqa: S302  (another rule)\n", "fail"),
        ("assert True\n", "pass"),
        ("def (\n", "incomplete"),
    ],
)
def test_bandit_fails_what_is_serious_and_not_accepted_in_the_source(root: Path, line: str, verdict: str) -> None:
    (root / "ml/some.py").write_text(line)

    scan = scan_code(root, run_tool)

    assert scan.verdict == verdict, scan
    assert scan.total == 2
    assert (verdict == "fail") == any("ml/some.py:4: B301" in finding for finding in scan.findings)


def test_a_missing_bandit_report_is_incomplete(root: Path) -> None:
    assert scan_code(root, answers("", 2)).verdict == "incomplete"


def test_the_sbom_names_every_pin(root: Path) -> None:
    out = root / "out/sbom.json"

    scan = scan_sbom(root, root / "images/serving/requirements.txt", out, run_tool)

    assert (scan.verdict, scan.covered, scan.total) == ("pass", 1, 1)
    assert json.loads(out.read_text())["bomFormat"] == "CycloneDX"


@pytest.mark.parametrize(
    ("stdout", "verdict"),
    [({"components": []}, "fail"), ({"components": [{"name": "numpy", "version": "1"}]}, "fail"), ("", "incomplete")],
)
def test_an_sbom_that_lacks_a_pin_fails(root: Path, stdout: Any, verdict: str) -> None:
    assert (
        scan_sbom(root, root / "images/serving/requirements.txt", root / "o.json", answers(stdout)).verdict == verdict
    )


def model(domain: str = "", external: bool = False) -> bytes:  # noqa: FBT001, FBT002  (a switch of the test's data)
    weight = helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])
    if external:
        weight.ClearField("float_data")
        weight.data_location = TensorProto.EXTERNAL
        weight.external_data.add(key="location", value="../../secret")
    node = helper.make_node("Add" if not domain else "Own", ["features", "w"], ["y"], domain=domain)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("features", "y")]
    graph = helper.make_graph([node], "g", ends[:1], ends[1:], [weight])
    opsets = [helper.make_opsetid("", 17), *([helper.make_opsetid(domain, 1)] if domain else [])]
    found: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    return found


def _write(name: str, content: bytes) -> Callable[[Path], Any]:
    return lambda directory: (directory / name).write_bytes(content)


UNSAFE = {
    "a pickle": (_write("model.pkl", pickle.dumps({})), "model.pkl: is a pickle"),
    "a pickle by another name": (_write("serving.json", pickle.dumps({})), "serving.json: is a pickle"),
    "an archive": (_write("model.onnx", b"PK\x03\x04"), "model.onnx: is a zip archive"),
    "a stranger": (_write("notes.txt", b"hello"), "notes.txt: is no file of a release"),
    "no model": (lambda d: (d / "model.onnx").unlink(), "model.onnx: is missing"),
    "no onnx": (_write("model.onnx", b"\xff\xff"), "model.onnx: is no valid ONNX model"),
    "own operators": (_write("model.onnx", model("evil")), "uses operators of 'evil'"),
    "external data": (_write("model.onnx", model(external=True)), "model.onnx: "),
    "a link": (lambda d: (d / "report.html").symlink_to("/etc/passwd"), "report.html: is a link"),
}


@pytest.fixture
def release_dir(tmp_path: Path) -> Path:
    directory = tmp_path / "release"
    directory.mkdir()
    (directory / "model.onnx").write_bytes(model())
    (directory / "serving.json").write_text("{}")
    return directory


def test_a_standard_model_is_safe(release_dir: Path) -> None:
    scan = scan_model_files(release_dir, "it")

    assert (scan.verdict, scan.covered, scan.total, scan.version) == ("pass", 2, 2, f"onnx {onnx.__version__}")


@pytest.mark.parametrize(("spoil", "finding"), UNSAFE.values(), ids=UNSAFE.keys())
def test_a_file_that_can_run_code_fails(release_dir: Path, spoil: Callable[[Path], Any], finding: str) -> None:
    spoil(release_dir)

    scan = scan_model_files(release_dir, "it")

    assert scan.verdict == "fail"
    assert any(finding in line for line in scan.findings), scan.findings


IMAGE = "127.0.0.1:5000/ml-pipeline/serving@sha256:" + "a" * 64
DPKG = """\
Package: libc6
Status: install ok installed
Version: 2.36

Package: gone
Status: deinstall ok config-files
Version: 1
"""


@pytest.mark.parametrize(
    ("python", "verdict"),
    [
        ([["numpy", "2.4.6", "/opt/python"]], "pass"),
        ([["numpy", "2.4.6", "/opt/python"], ["pip", "23", "/usr/lib/python3/dist-packages"]], "pass"),
        ([["numpy", "2.4.6", "/opt/python"], ["evil", "1", "/opt/python"]], "fail"),
        ([["numpy", "2.4.5", "/opt/python"]], "fail"),
        ([], "fail"),
    ],
)
def test_an_image_runs_what_the_lock_file_says(root: Path, python: list[list[str]], verdict: str) -> None:
    scans = scan_image(root, IMAGE, run=answers({"python": python, "debian": DPKG}))

    assert scans["image-python"].verdict == verdict
    assert (scans["image-debian"].verdict, scans["image-debian"].total) == ("incomplete", 1)
    kept = json.loads((root / ".build/scans" / f"{'a' * 64}.json").read_text())
    assert kept["packages"]["debian"] == ["libc6 2.36"]


def test_an_image_must_be_given_by_digest_and_run(root: Path) -> None:
    with pytest.raises(UsageError, match="by digest"):
        scan_image(root, "serving:latest", run=answers(""))
    with pytest.raises(SurroundingsError, match="cannot connect"):
        scan_image(root, IMAGE, run=answers("", 125, error="cannot connect"))


def test_all_scans_of_a_release_stand_in_its_record(root: Path, release_dir: Path) -> None:
    steps: list[str] = []

    scans = scan_all(
        root,
        release_dir,
        TODAY,
        steps.append,
        answers({"dependencies": [], "components": [], "errors": [], "results": []}),
    )

    assert set(scans) == set(load("binary")["scans"]["required"])
    assert len(steps) == 4


def test_only_an_incomplete_scan_can_be_excepted_and_only_until_its_day() -> None:
    policy = {"scans": {"exceptions": [{"scan": "a", "expires": TODAY}]}}

    def scan(verdict: Any) -> Scan:
        return Scan(
            tool="t", version="1", subject="s", subject_sha256="", covered=0, total=0, verdict=verdict, reason=""
        )

    incomplete, failed = scan("incomplete"), scan("fail")
    assert unanswered({"a": incomplete, "b": scan("pass")}, policy, TODAY) == []
    assert unanswered({"a": incomplete}, policy, "2026-02-01") == ["a"]
    assert unanswered({"a": failed, "b": incomplete}, policy, TODAY) == ["a", "b"]


def test_a_tool_that_is_missing_or_slow_is_an_answer() -> None:
    assert run_tool(["/no/such/tool"], 1).exit_code is None
    assert "did not end" in run_tool(["sleep", "5"], 0.05).error


def test_long_lists_of_findings_are_cut_and_say_so() -> None:
    lines = [str(number) for number in range(MAX_FINDINGS + 5)]

    assert len(shortened(lines)) == MAX_FINDINGS
    assert shortened(lines)[-1] == "and 6 more"
    assert shortened(lines[:3]) == lines[:3]
