"""What `make up` prints at its end."""

import json
import shlex
from pathlib import Path

from toolchain import reach

URLS = {
    "prometheus": "http://127.0.0.1:30900",
    "model": "http://127.0.0.1:30080",
    "mlflow": "http://127.0.0.1:30500",
    "extra": "http://127.0.0.1:1",
}
ROW = {"carrier": "UA", "month": 7, "tower": "O'Hare", "wind": None}


def test_the_call_can_be_pasted_and_carries_the_row() -> None:
    text = reach.summary("staging", URLS, ROW)

    start = text.index("curl")
    words = shlex.split(text[start : text.index("\n\n", start)].replace("\\\n", " "))
    assert words[:3] == ["curl", "-sS", "http://127.0.0.1:30080/predict"]
    assert json.loads(words[words.index("-d") + 1]) == {"features": ROW}
    assert "Authorization: Bearer $(.venv/bin/mlp api-key --stack staging)" in words


def test_every_url_is_shown_the_live_one_first() -> None:
    text = reach.summary("staging", URLS, ROW)

    assert all(url in text for url in URLS.values())
    assert text.index(URLS["model"]) < text.index(URLS["prometheus"]) < text.index(URLS["extra"])


def test_mlflow_shows_how_to_get_in_but_no_password() -> None:
    text = reach.summary("prod", URLS, ROW)

    assert ".venv/bin/mlp mlflow-password --stack prod" in text


def test_a_stack_without_a_live_release_has_no_call() -> None:
    assert "curl" not in reach.summary("staging", {"mlflow": "http://127.0.0.1:30500"}, None)


def test_the_golden_row_is_keyed_by_feature(tmp_path: Path) -> None:
    serving = {"features": [{"name": "a"}, {"name": "b"}], "golden": {"rows": [[1, "x"], [2, "y"]]}}
    (tmp_path / "serving.json").write_text(json.dumps(serving))

    assert reach.golden_row(tmp_path) == {"a": 1, "b": "x"}
    assert reach.golden_row(tmp_path / "absent") is None
