import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from ml.errors import ConfigError, DataError, TransientError
from ml.training import retrain
from ml.training.retrain import ALERT, AT_MOST_EVERY, is_firing, newest_judged, why_not
from tests.ml.training.toy import problem, table

pytestmark = pytest.mark.integration

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def answering(status=200, **body):
    return httpx.Client(transport=httpx.MockTransport(lambda _request: httpx.Response(status, json=body)))


@pytest.mark.parametrize(
    ("last", "forced", "due"),
    [
        (None, False, True),
        (NOW - AT_MOST_EVERY, False, True),
        (NOW - AT_MOST_EVERY + timedelta(seconds=1), False, False),
        (NOW - timedelta(minutes=1), False, False),
        (NOW - timedelta(minutes=1), True, True),
        (NOW + timedelta(hours=1), False, False),
    ],
)
def test_there_is_at_most_one_candidate_in_24_hours_unless_forced(last, forced, due):
    assert (why_not(NOW, last, forced=forced) is None) == due


def test_the_alert_fires_when_prometheus_has_it_and_only_then():
    seen = []

    def answer(request):
        seen.append(request.url.params["query"])
        return httpx.Response(200, json={"data": {"result": [{"metric": {}, "value": [0, "1"]}]}})

    assert is_firing("http://prometheus:9090", httpx.Client(transport=httpx.MockTransport(answer)))
    assert not is_firing("http://prometheus:9090", answering(data={"result": []}))
    assert seen == [ALERT]


@pytest.mark.parametrize("answer", [{"status": 500}, {"data": {}}, {"data": None}, {}])
def test_an_answer_that_says_nothing_is_no_alert_and_no_silence(answer):
    with pytest.raises(TransientError, match="ML-TRAIN-021"):
        is_firing("http://prometheus:9090", answering(**answer))


def test_drift_without_an_address_is_refused():
    with pytest.raises(ConfigError, match="ML-TRAIN-020"):
        is_firing(None)


def test_a_candidate_trains_to_the_newest_month_that_another_can_judge():
    assert newest_judged(problem()) == "2013-02"
    assert newest_judged(problem(time=None)) is None
    with pytest.raises(DataError, match="ML-TRAIN-003"):
        newest_judged(problem(data=table(months=("2013-01",))))


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """The command with an MLflow that remembers, and a problem that trains in a blink."""
    logged = []
    monkeypatch.setattr("ml.tracking.candidate.last_candidate", lambda _p, **_s: logged[-1] if logged else None)

    def log(candidate, *, reason, now, letters, **server):
        logged.append(now)
        call.letters.append(letters)
        return f"{reason}-{candidate.problem}-{server['username']}"

    def refused(problem, error, *, letters, **server):
        call.letters.append(letters)
        call.refused.append((problem, error.code, server["reason"]))

    monkeypatch.setenv("MLP_DATA_STORE", str(tmp_path / "store"))
    monkeypatch.setattr("ml.tracking.candidate.log_candidate", log)
    monkeypatch.setattr("ml.tracking.candidate.log_refused", refused)
    monkeypatch.setattr(retrain, "by_package", lambda _package: problem())
    for name in ("username", "password"):
        (tmp_path / name).write_text(f"the-{name}\n")

    def call(*words):
        code = retrain.main(["--problem=toy", "--mlflow=http://m", f"--login={tmp_path}", *words])
        printed = capsys.readouterr()
        return code, json.loads(printed.out) if printed.out else printed.err

    call.letters, call.refused, call.pushed = [], [], []
    monkeypatch.setattr(retrain, "push", lambda url, group, text: call.pushed.append((url, group, text)))
    return call


@pytest.mark.parametrize(("bad_rows", "code"), [(0, 0), (1, 0), (60, 4)])
def test_what_was_rejected_outlives_the_pod(run, monkeypatch, bad_rows, code):
    data = table()
    data.loc[: bad_rows - 1, "kind"] = "unheard of"
    monkeypatch.setattr(retrain, "by_package", lambda _package: problem(data))

    ended = run("--reason=schedule", "--push=http://p")[0]

    (letters,) = run.letters
    (pushed,) = run.pushed
    assert ended == code
    assert pushed[:2] == ("http://p", {"job": "retrain", "problem": "toy"})
    assert f"ml_data_contract_held {0 if code else 1}\n" in pushed[2]
    assert (f'ml_data_rows{{outcome="rejected"}} {bad_rows}\n' in pushed[2]) == (code == 0)
    assert run.refused == ([("toy", "ML-DATA-004", "schedule")] if code else [])
    assert (0 if letters is None else letters.read_text().count("unknown_category")) == bad_rows


def test_a_second_candidate_on_one_day_is_trained_only_when_forced(run):
    first, second, forced = run("--reason=schedule"), run("--reason=schedule"), run("--reason=forced")

    assert first[1]["retrained"] is True
    assert (first[1]["run"], first[1]["through"]) == ("schedule-toy-the-username", "2013-02")
    assert second == (0, {"retrained": False, "why": second[1]["why"]})
    assert "at most one in 24 h" in second[1]["why"]
    assert forced[1]["retrained"] is True
    assert forced[1]["model_sha256"] == first[1]["model_sha256"]


def test_drift_asks_only_while_the_alert_fires(run, monkeypatch):
    monkeypatch.setattr(retrain, "is_firing", lambda _where: False)
    quiet = run("--reason=drift", "--prometheus=http://p")
    monkeypatch.setattr(retrain, "is_firing", lambda _where: True)

    assert quiet[1] == {"retrained": False, "why": "the drift alert does not fire"}
    assert run("--reason=drift", "--prometheus=http://p")[1]["retrained"] is True


def test_a_missing_login_is_named(run, tmp_path):
    (tmp_path / "password").unlink()

    code, words = run("--reason=schedule")

    assert code == 5
    assert "ML-TRAIN-019" in words
