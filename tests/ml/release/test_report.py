"""The page for reviewers: verdict first, nothing fetched, nothing in it but text, whatever the record holds."""

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from ml.release import keys, store
from ml.release.example import example
from ml.release.report import facts, plots, render, write
from ml.release.report.page import MAX_BYTES
from tests.ml.release.folders import write_release

CURVE = {"class": "late", "rows": 500, "points": [[0.0, 0.0], [0.2, 0.6], [1.0, 1.0]], "area": 0.7, "max_error": 0.0}
EVALUATION = {
    "curves": {"of": "one curve", "left_out": [], "roc": [CURVE], "precision_recall": []},
    "calibration": {"bins": [{"rows": 9, "predicted": p, "observed": p, "standard_error": 0.1} for p in (0.2, 0.8)]},
    "residuals": None,
}
HOSTILE = "<script>alert(1)</script>\"'&{{ 7*7 }}$x$</svg><img src=x onerror=alert(1)>"


def page(root: Path, change: Callable[[dict[str, Any]], None] | None = None, evaluation: Any = None) -> str:
    more = {"evaluation.json": json.dumps(evaluation).encode()} if evaluation is not None else None
    write_release(root, "flights-0001", change, more=more)
    return render(store.load(root, "flights-0001"), keys.trusted(root))


@pytest.fixture(scope="module")
def rich_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page with everything on it: drawing its pictures is most of what a test of it costs."""
    return page(tmp_path_factory.mktemp("rich"), rich, EVALUATION)


class Elements(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += f"{data} "


BESIDE = "Against the champion"


def rich(fields: dict[str, Any]) -> None:
    fields["evaluation"]["intervals"]["accuracy"] = {"low": 0.79, "high": 0.83, "standard_error": 0.01}
    fields["evaluation"] |= {
        "slices": {"metric": "accuracy", "columns": {"origin": [
            {"value": "JFK", "rows": 500, "estimate": 0.83, "low": 0.8, "high": 0.86},
            {"value": "LGA", "rows": 400, "estimate": 0.71, "low": 0.66, "high": 0.76}]}},
    }  # fmt: skip
    fields["scans"]["static"]["findings"] = ["B101 in one file"]
    fields["search"] = {"sampler": "tpe", "seed": 1, "trials": {"complete": 30, "pruned": 10}}


def test_the_verdict_comes_first_with_the_reasons_in_words(tmp_path: Path) -> None:
    text = Elements(page(tmp_path, lambda r: r["metrics"].update(accuracy=0.1))).text

    assert text.index("FAIL") < text.index("the metric is worse than the absolute floor") < text.index("Metrics")
    assert "Must not take traffic" in text


def test_metrics_stand_beside_the_champions_with_intervals_and_slices_worst_first(rich_page: str) -> None:
    text = " ".join(Elements(rich_page).text.split())

    held = "floor 0.6, champion: at worst 0.0001 below (95 %), allowed 0.0050 below pass"
    assert f"0.81 0.79 to 0.83 0.8 +0.0100 (-0.0014 to +0.0214) {held}" in text
    assert text.index("LGA") < text.index("JFK")
    for title in ("Against the champion", "ROC", "Calibration", "search: sampler", "Signed by tests"):
        assert title in text


def test_a_problem_without_time_is_told_without_days(tmp_path: Path) -> None:
    def change(fields: dict[str, Any]) -> None:
        for part in ("train", "test"):
            fields["data"][part] |= {"from": "unordered", "to": "unordered"}

    text = " ".join(Elements(page(tmp_path, change)).text.split())

    assert "trained on 6,000 rows, judged on 1,000 rows" in text
    assert "unordered" not in text


@pytest.mark.parametrize("observed", [0.0, 0.5, 1.0])
def test_the_interval_of_a_share_of_few_rows_stays_a_share(observed: float) -> None:
    item = {"rows": 2, "predicted": 0.6, "observed": observed, "standard_error": 0.5}
    down, up = plots._reach(item, shares=True)

    assert 0 <= observed - down <= observed + up <= 1
    assert down + up > 0.5
    assert plots._reach(item, shares=False) == (plots.Z95 * 0.5,) * 2


@pytest.mark.parametrize("record", ["plain", "rich"])
def test_the_page_asks_nobody_for_anything(tmp_path: Path, rich_page: str, record: str) -> None:
    text = rich_page if record == "rich" else page(tmp_path, None, EVALUATION)
    found = Elements(text)

    assert not {"script", "link", "img", "iframe", "object", "form"} & set(found.tags)
    links = [value for name, value in found.attributes if name in ("href", "src", "xlink:href", "action")]
    assert all(value and value.startswith("#") for value in links)
    assert not re.findall(r"url\((?!#)", text)
    assert "@import" not in text
    assert len(text.encode()) < MAX_BYTES


def _hostile(fields: dict[str, Any]) -> None:
    rich(fields)
    fields["problem"] = fields["data"]["source"] = HOSTILE
    fields["parameters"] = {HOSTILE: HOSTILE}
    fields["data"]["dropped"] = {HOSTILE: 1}
    fields["drift"]["features"][HOSTILE] = dict(fields["drift"]["features"]["distance"])
    fields["scans"]["static"] |= {"reason": HOSTILE, "findings": [HOSTILE], "tool": HOSTILE}
    fields["search"] = {HOSTILE: HOSTILE}
    fields["evaluation"]["slices"]["columns"] = {HOSTILE: [{"value": HOSTILE, "rows": 1, "estimate": 0.5}]}


def test_no_word_of_a_record_becomes_markup(tmp_path: Path, rich_page: str) -> None:
    evaluation = {**EVALUATION, "curves": {"roc": [{**CURVE, "class": HOSTILE}]}}
    harmless = Elements(rich_page)
    found = Elements(page(tmp_path, _hostile, evaluation))

    assert not {"script", "img"} & set(found.tags)
    assert set(found.tags) == set(harmless.tags)
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    assert HOSTILE in found.text
    assert "{{ 7*7 }}" in found.text


def test_the_same_release_gives_the_same_bytes(tmp_path: Path, rich_page: str) -> None:
    assert page(tmp_path, rich, EVALUATION) == rich_page


def test_drift_is_ranked_by_distance_whatever_was_measured() -> None:
    record = example()
    number = record["drift"]["features"]["distance"]
    record["drift"] = {
        "features": {
            "near": {**number, "d": 0.01}, "far": {**number, "d": 0.3},
            "watched": {**number, "role": "watch", "d": 0.9},
            "colour": {"role": "gate", "kind": "category", "tv": 0.2, "p": 0.5},
        },
        "prediction": {"score": {**number, "d": 0.1}},
    }  # fmt: skip

    columns, rows = facts.drift(record)

    assert columns == ["d", "tv", "p"]
    assert [row["name"] for row in rows] == ["far", "colour", "the model's score", "near", "watched"]


def test_the_margin_in_the_picture_is_the_one_that_was_judged_by() -> None:
    record = example(rich)
    sound = {"margin": 0.02, "margins": {}, "relative_margins": {"log_loss": 0.1}}
    record["gate"]["policy"] = {"preset": "sound", "comparison": sound}
    assert [row[3] for row in facts.compared(record)] == [0.02, pytest.approx(0.043)]

    record["gate"]["policy"] = {
        "preset": "classic",
        "comparison": sound,
        "classic": {"max_drop": 0.05, "max_drops": {"log_loss": 0.1}},
    }
    assert [row[3] for row in facts.compared(record)] == [0.05, 0.1]


def _regression(fields: dict[str, Any]) -> None:
    fields["kind"] = "regression"
    fields["metrics"] = {"rmse": 4.2, "r2": 0.6}
    fields["champion"] = None
    fields["gate"]["policy"]["floors"] = {"r2": 0.1}


def _multiclass(fields: dict[str, Any]) -> None:
    fields["kind"] = "multiclass"


@pytest.mark.parametrize(
    ("change", "evaluation", "titles"),
    [
        (_regression, {"residuals": {"histogram": {"edges": [-1.0, 0.0, 1.0], "counts": {"all": [3, 4]}}}}, {"Errors"}),
        (_multiclass, {"curves": {"roc": [CURVE, {**CURVE, "class": "early"}]}}, {"ROC", BESIDE}),
        (_multiclass, None, {BESIDE}),
    ],
)
def test_every_kind_of_problem_has_its_page(tmp_path: Path, change: Any, evaluation: Any, titles: set[str]) -> None:
    text = page(tmp_path, change, evaluation)

    assert set(re.findall(r"<figcaption>([^<]+)<", text)) == titles


@pytest.mark.parametrize("odd", [{}, [], None, 1, "x", {"roc": 1}, {"columns": 3}, {"columns": {"a": [1, {}]}}])
def test_a_section_of_another_shape_is_left_out_and_never_stops_the_page(tmp_path: Path, odd: Any) -> None:
    def change(fields: dict[str, Any]) -> None:
        fields["champion"] = None
        fields["evaluation"] = {"intervals": odd, "slices": odd}

    text = page(tmp_path, change, {"curves": odd, "calibration": odd, "residuals": odd})

    assert "Metrics" in text
    assert "figcaption>" not in text


def test_an_unsigned_release_says_so_on_its_page(tmp_path: Path) -> None:
    (write_release(tmp_path, "flights-0001") / "record.dsse.json").unlink()

    text = render(store.load(tmp_path, "flights-0001"), keys.trusted(tmp_path))

    assert "Not signed by anybody trusted" in text


def test_the_report_is_beside_the_record_and_changes_nothing_about_the_release(tmp_path: Path) -> None:
    write_release(tmp_path, "flights-0001")

    path = write(tmp_path, store.verify(tmp_path, "flights-0001"))

    assert path == tmp_path / "releases/flights-0001/report.html"
    assert store.inspect(tmp_path, "flights-0001") == []
