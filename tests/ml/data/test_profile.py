import re
from base64 import b64decode
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from ml.cli import main
from ml.data.checker import sort_out
from ml.data.profile import page
from ml.data.systemic import Typical
from tests.ml.data.test_systemic import CONTRACT, table
from tests.ml.training import toy

PROBLEM = replace(toy.problem(), name="weather <b>", features=(), contract=CONTRACT)


def html(frame, as_of=None):
    _, outcome = sort_out(CONTRACT, frame, key=["when"], as_of=as_of)
    return page(PROBLEM, outcome, "here & there")


@pytest.fixture(scope="module")
def whole():
    return html(table(), as_of=datetime.fromisoformat("2013-07-21"))


def test_the_page_needs_no_other_file_and_every_text_is_escaped(whole):
    assert re.findall(r'(?:src|href)="(?!data:|#)', whole) == []
    assert "weather &lt;b&gt;" in whole
    assert "here &amp; there" in whole


def test_the_page_has_the_ledger_and_a_card_a_column(whole):
    assert "The data keep the contract." in whole
    assert "0.1 days older than 2013-07-21, at most 2" in whole
    assert re.findall(r'class="card" id="(\w+)"', whole) == ["when", "temp"]
    assert '<td>accepted</td><td><code></code></td><td class="n">400</td>' in whole


def test_pictures_are_svg_with_the_course_by_month(whole):
    pictures = [b64decode(data).decode() for data in re.findall(r"data:image/svg\+xml;base64,([\w+/=]+)", whole)]

    assert len(pictures) == 2
    assert all(picture.lstrip().startswith("<?xml") and "2013-07" in picture for picture in pictures)
    assert "by month: median" in pictures[1]


def test_the_same_data_give_the_same_bytes(whole):
    assert html(table(), as_of=datetime.fromisoformat("2013-07-21")) == whole


def test_what_breaks_the_contract_stands_first_and_at_its_column():
    frame = table().assign(temp=lambda t: (t["temp"] - 32) / 1.8)
    frame.loc[:9, "temp"] = 500.0

    text = html(frame)

    assert "The data break the contract." in text
    assert text.count("temp:unit") >= 2
    assert re.search(r"<h3>temp.*temp:unit.*temp:above_maximum", text)


def test_a_column_without_a_value_is_shown():
    assert "temp:mostly_missing" in html(table(rows=200).assign(temp=np.nan))


def test_profile_writes_the_page_and_says_when_the_data_are_at_fault(tmp_path, monkeypatch, capsys):
    broken = replace(CONTRACT, typical={"temp": Typical(low=0, high=1, unit="degC")})
    problem = replace(PROBLEM, name="weather", load=lambda _first, _last: table())
    monkeypatch.setattr("ml.problem.current", lambda: problem)

    assert main(["data", "profile", "--out", str(tmp_path / "page.html")]) == 0
    assert "400 rows, 2 columns" in capsys.readouterr().out

    monkeypatch.setattr("ml.problem.current", lambda: replace(problem, contract=broken))
    assert main(["data", "profile", "--out", str(tmp_path / "page.html")]) == 4
    assert "The data break the contract." in (tmp_path / "page.html").read_text()
