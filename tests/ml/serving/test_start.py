"""What the server checks before it serves: environment, keys, evidence, model."""

import hashlib
import hmac
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ml.errors import ConfigError, GateError, PipelineError
from ml.serving import keys
from ml.serving.bundle import load
from ml.serving.keys import KeyRing
from ml.serving.settings import from_environment
from tests.ml.serving.releases import make_release


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def environment(keys_file: Path, **changes: str) -> dict[str, str]:
    base = {"MODEL_DIR": "/model", "MODEL_VERSION": "iris-0001", "API_KEYS_FILE": str(keys_file)}
    return {name: value for name, value in (base | changes).items() if value != "unset"}


def test_the_defaults(keys_file: Path) -> None:
    settings = from_environment(environment(keys_file))

    assert (settings.host, settings.port, settings.load.max_waiting) == ("0.0.0.0", 8000, 512)  # noqa: S104 - the default
    assert settings.drain_s + settings.grace_s <= 20
    assert settings.api_keys_file == keys_file


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"MODEL_DIR": "unset"}, "MODEL_DIR is not set"),
        ({"MODEL_VERSION": "unset"}, "MODEL_VERSION is not set"),
        ({"MODEL_VERSION": "../x"}, "MODEL_VERSION='../x'"),
        ({"PORT": "eight"}, "PORT='eight'"),
        ({"PORT": "0"}, "PORT='0'"),
        ({"DRAIN_SECONDS": "nan"}, "DRAIN_SECONDS='nan'"),
        ({"MAX_IN_FLIGHT": "-1"}, "MAX_IN_FLIGHT='-1'"),
        ({"HEADER_SECONDS": "0"}, "HEADER_SECONDS='0'"),
        ({"CONNECTION_AGE_SECONDS": "-1"}, "CONNECTION_AGE_SECONDS='-1'"),
        ({"PAYLOAD_LOG_SHARE": "1.5"}, "PAYLOAD_LOG_SHARE='1.5'"),
        ({"PAYLOAD_LOG_SHARE": "0.1"}, "PAYLOAD_LOG_FILE is not set"),
        ({"API_KEYS_FILE": "unset"}, "API_KEYS_FILE is not set"),
        ({"API_KEYS_FILE": "/nowhere"}, "'/nowhere' does not exist"),
        ({"ALLOW_ANONYMOUS": "yes"}, "ALLOW_ANONYMOUS='yes'"),
    ],
)
def test_a_wrong_environment_is_refused(keys_file: Path, changes: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match="ML-SERVE-001") as caught:
        from_environment(environment(keys_file, **changes))
    assert words in caught.value.message


def test_everything_wrong_is_said_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        from_environment({"PORT": "x"})
    assert len(caught.value.message.split("; ")) == 4


def test_anonymous_only_when_asked_for_and_a_key_file_still_counts(keys_file: Path) -> None:
    open_server = from_environment(environment(keys_file, API_KEYS_FILE="/nowhere", ALLOW_ANONYMOUS="true"))
    keyed = from_environment(environment(keys_file, ALLOW_ANONYMOUS="true"))

    assert open_server.api_keys_file is None
    assert keyed.api_keys_file == keys_file


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_keys_are_read_again_when_the_file_changes_and_at_most_each_second(tmp_path: Path) -> None:
    path, clock = tmp_path / "keys", Clock()
    path.write_text(f"# operator\n{digest('old')}\n\n{digest('new')}\n", encoding="utf-8")
    ring = KeyRing(path, clock)
    assert ring.accepts(b"old")
    assert ring.accepts(b"new")

    replacement = tmp_path / "next"
    replacement.write_text(digest("new"), encoding="utf-8")
    replacement.rename(path)

    assert ring.accepts(b"old")
    clock.now = 1.1
    assert not ring.accepts(b"old")
    assert ring.accepts(b"new")
    assert not ring.accepts(None)
    assert not ring.accepts(b"")


def test_a_wrong_key_costs_as_much_as_a_right_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every hash is compared, in constant time: how long a refusal takes says nothing about the keys."""
    path = tmp_path / "keys"
    path.write_text("\n".join(digest(key) for key in ("first", "last")), encoding="utf-8")
    ring = KeyRing(path, Clock())
    compared: list[tuple[str, str]] = []
    honest = hmac.compare_digest

    def compare(known: str, given: str) -> bool:
        compared.append((known, given))
        return honest(known, given)

    monkeypatch.setattr(keys.hmac, "compare_digest", compare)

    assert [ring.accepts(key) for key in (b"first", b"last", b"wrong", b"x" * 9000, b"", None)] == [True] * 2 + [
        False
    ] * 4
    assert len(compared) == 6 * 2
    assert {len(given) for _, given in compared} == {64}


@pytest.mark.parametrize("broken", [None, "", "# nothing\n", "not a hash\n"])
def test_a_broken_rotation_keeps_the_last_good_keys_and_says_so(
    tmp_path: Path, broken: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    path, clock = tmp_path / "keys", Clock()
    path.write_text(digest("key"), encoding="utf-8")
    ring = KeyRing(path, clock)

    path.unlink()
    if broken is not None:
        path.write_text(broken, encoding="utf-8")
    clock.now = 2.0

    assert ring.accepts(b"key")
    clock.now = 4.0
    assert ring.accepts(b"key")
    assert [record.getMessage() for record in caplog.records] == ["api_keys_kept"]


def test_a_plain_key_in_the_file_is_refused_without_being_shown(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"{digest('a')}\nmy-plain-key\n", encoding="utf-8")

    with pytest.raises(ConfigError, match="ML-SERVE-008") as caught:
        KeyRing(path)
    assert "line 2" in caught.value.message
    assert "my-plain-key" not in str(caught.value)


def edit(name: str, old: bytes, new: bytes) -> Callable[[Path], None]:
    def change(directory: Path) -> None:
        content = (directory / name).read_bytes()
        assert old in content
        (directory / name).write_bytes(content.replace(old, new, 1))

    return change


@pytest.mark.parametrize(
    ("change", "error", "code", "words"),
    [
        (edit("record.json", b"0.81", b"0.91"), GateError, "ML-SERVE-003", "ML-REL-103"),
        (edit("serving.json", b"setosa", b"setosb"), GateError, "ML-SERVE-003", "serving.json has sha256"),
        (lambda d: (d / "model.onnx").write_bytes(b"x"), GateError, "ML-SERVE-003", "model.onnx has sha256"),
        (lambda d: (d / "model.onnx").unlink(), ConfigError, "ML-SERVE-002", "model.onnx: No such file"),
        (lambda d: (d / "record.json").unlink(), ConfigError, "ML-SERVE-002", "record.json"),
    ],
)
def test_a_release_that_was_touched_is_never_loaded(
    tmp_path: Path, change: Callable[[Path], None], error: type[PipelineError], code: str, words: str
) -> None:
    release = make_release(tmp_path)
    change(tmp_path)

    with pytest.raises(error) as caught:
        load(tmp_path, release)
    assert caught.value.code == code
    assert words in caught.value.message


def test_a_release_that_did_not_pass_is_never_loaded(tmp_path: Path) -> None:
    release = make_release(tmp_path, record_change=lambda fields: fields["metrics"].update(accuracy=0.1))

    with pytest.raises(GateError, match="ML-REL-110"):
        load(tmp_path, release)


def test_another_release_than_named_is_refused(tmp_path: Path) -> None:
    make_release(tmp_path)

    with pytest.raises(ConfigError, match=r"ML-SERVE-004.*holds release 'iris-0001'"):
        load(tmp_path, "iris-0002")


def wrong_golden(serving: dict[str, Any]) -> None:
    serving["golden"]["predictions"][1] = "setosa"


def wrong_probability(serving: dict[str, Any]) -> None:
    serving["golden"]["probabilities"][2][0] += 0.001


@pytest.mark.parametrize(
    ("kind", "change", "code", "words"),
    [
        ("multiclass", wrong_golden, "ML-SERVE-007", "row 1"),
        ("multiclass", wrong_probability, "ML-SERVE-007", "row 2"),
        ("regression", lambda s: s["golden"]["predictions"].__setitem__(0, 9.1), "ML-SERVE-007", "row 0"),
        ("binary", lambda s: s.update(transform=None), "ML-SERVE-007", "row"),
        ("binary", lambda s: s.update(transform="os.system"), "ML-SERVE-009", "module:function"),
        ("binary", lambda s: s.update(transform="nowhere.at_all:fill"), "ML-SERVE-009", "nowhere"),
        ("binary", lambda s: s.update(transform="tests.ml.serving.releases:no"), "ML-SERVE-009", "no"),
        ("binary", lambda s: s.update(threshold=None), "ML-SERVE-005", "threshold"),
        ("multiclass", lambda s: s.update(schema="v0"), "ML-SERVE-005", "schema 'v0'"),
        ("multiclass", lambda s: s.update(kind="fuzzy"), "ML-SERVE-005", "fuzzy"),
        ("multiclass", lambda s: s["golden"].update(rows=[]), "ML-SERVE-005", "golden has 0 rows"),
        ("multiclass", lambda s: s.update(features=[]), "ML-SERVE-005", "features"),
        ("regression", lambda s: s.update(kind="multiclass", classes=[1, 2]), "ML-SERVE-005", "golden"),
    ],
)
def test_a_model_that_is_not_what_it_says_is_refused(
    tmp_path: Path, kind: str, change: Callable[[dict[str, Any]], None], code: str, words: str
) -> None:
    release = make_release(tmp_path, kind, serving_change=change)

    with pytest.raises(GateError) as caught:
        load(tmp_path, release)
    assert caught.value.code == code
    assert words in caught.value.message


def test_the_server_loads_no_heavy_library() -> None:
    """What is imported is what the image needs and what a pod's memory pays for."""
    code = "import sys, ml.serving.__main__; print(sorted({m.partition('.')[0] for m in sys.modules}))"
    heavy = {"pandas", "sklearn", "mlflow", "scipy", "pyarrow", "pandera", "fastapi", "pydantic", "pulumi", "onnx"}

    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout

    assert "onnxruntime" in loaded
    assert not [name for name in heavy if f"'{name}'" in loaded]


def test_the_runtime_cannot_call_its_vendor(tmp_path: Path) -> None:
    """With telemetry on, importing ONNX Runtime starts an uploader that leaves a device id in the cache folder."""
    environment = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    code = "import sys, time; __import__(sys.argv[1]); time.sleep(0.2)"

    for module, silent in (("ml.serving.model", True), ("onnxruntime", False)):
        subprocess.run([sys.executable, "-c", code, module], check=True, env=environment, capture_output=True)
        assert (not list(tmp_path.rglob("*"))) == silent, module
