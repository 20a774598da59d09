"""`python3 -m ml.training.retrain`: train a candidate in the cluster and show it in MLflow. Never touches traffic.

Asked by a schedule, by the drift alert, or by a person. At most one candidate in 24 hours unless a person insists: an
alert that does not go away must not train all day.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx

from ml.errors import ConfigError, DataError, PipelineError, TransientError
from ml.problem import Problem, by_package
from ml.pushed import gauge, push
from ml.training.plan import DEFAULT_MINUTES, DEFAULT_TRIALS, SAMPLERS, SEED, SearchPlan

REASONS: Final = ("schedule", "drift", "forced")
AT_MOST_EVERY: Final = timedelta(hours=24)
ALERT: Final = 'ALERTS{alertname="DriftAlarm",alertstate="firing"}'


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one line of JSON about what was done or why nothing was; returns the exit code as `ml.errors` says."""
    given = parser().parse_args(arguments)
    try:
        result = retrain(given, datetime.now(tz=UTC))
    except PipelineError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(json.dumps(result, sort_keys=True), flush=True)
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(prog="python3 -m ml.training.retrain", description=__doc__)
    found.add_argument("--problem", required=True, help="the problem's package, such as ml.example")
    found.add_argument("--reason", required=True, choices=REASONS, help="who asks; forced ignores the rate limit")
    found.add_argument("--mlflow", required=True, help="such as http://mlflow:5000")
    found.add_argument("--login", type=Path, help="folder with the files username and password")
    found.add_argument("--prometheus", help="where the drift alert is looked up; needed with --reason drift")
    found.add_argument("--push", help="the Pushgateway that is told what became of the rows")
    found.add_argument("--through", help="last month to train on; by default the newest that has a month after it")
    found.add_argument("--trials", type=int, default=DEFAULT_TRIALS)
    found.add_argument("--minutes", type=float, default=DEFAULT_MINUTES)
    found.add_argument("--sampler", choices=SAMPLERS, default="halton")
    found.add_argument("--seed", type=int, default=SEED)
    return found


def retrain(given: argparse.Namespace, now: datetime) -> dict[str, Any]:
    """Train a candidate if one is due.

    Raises:
        PipelineError: Whatever training, MLflow or Prometheus raise.
    """
    from ml.tracking.candidate import last_candidate, log_candidate, log_refused  # noqa: PLC0415  (mlflow: seconds)

    problem = by_package(given.problem)
    if given.reason == "drift" and not is_firing(given.prometheus):
        return {"retrained": False, "why": "the drift alert does not fire"}
    server = {"tracking_uri": given.mlflow, **_login(given.login)}
    refused = why_not(now, last_candidate(problem.name, **server), forced=given.reason == "forced")
    if refused is not None:
        return {"retrained": False, "why": refused}
    from ml.data import stores  # noqa: PLC0415  (a second of imports, after the cheap checks)
    from ml.data.letters import DeadLetters  # noqa: PLC0415
    from ml.training.run import train  # noqa: PLC0415

    store = DeadLetters(stores.dead_letters(problem.name))
    through = given.through or newest_judged(problem)
    plan = SearchPlan(trials=given.trials, minutes=given.minutes, sampler=given.sampler, workers=1)
    with tempfile.TemporaryDirectory() as folder:
        try:
            candidate = train(
                problem, through, out=Path(folder) / "out", cached=Path(folder) / "train", seed=given.seed, search=plan,
                progress=lambda step: print(step, file=sys.stderr, flush=True),
            )  # fmt: skip
        except DataError as error:
            log_refused(problem.name, error, reason=given.reason, now=now, letters=store.file(), **server)
            _push(given, problem, store, held=False, rows={})
            raise
        run_id = log_candidate(candidate, reason=given.reason, now=now, letters=store.file(), **server)
    _push(given, problem, store, held=True, rows=rows_of(candidate.data["ledger"]))
    facts = {"through": through, "metrics": candidate.metrics, "model_sha256": candidate.files["model.onnx"]}
    return {"retrained": True, "run": run_id, "reason": given.reason, **facts}


def rows_of(ledger: Mapping[str, Any]) -> dict[str, int]:
    """What became of the rows that it trained on, by the data's own ledger."""
    found = {part: sum(ledger[part].values()) for part in ("dropped", "rejected")}
    return {"accepted": ledger["accepted"], **found}


def _push(given: argparse.Namespace, problem: Problem, store: Any, *, held: bool, rows: Mapping[str, float]) -> None:
    """Tell the gateway what became of the data; the letters themselves are in MLflow, with the run."""
    if given.push is None:
        return
    text = gauge("ml_data_contract_held", "Whether the newest data kept the contract.", {"": int(held)})
    if rows:
        text += gauge("ml_data_rows", "Rows of the newest data, by what became of them.", rows, "outcome")
    push(given.push, {"job": "retrain", "problem": problem.name}, text + store.metrics())


def why_not(now: datetime, last: datetime | None, *, forced: bool) -> str | None:
    """Why no candidate is due; None if one is."""
    if forced or last is None or now - last >= AT_MOST_EVERY:
        return None
    hours = AT_MOST_EVERY.total_seconds() / 3600
    return f"the last candidate is from {last:%Y-%m-%dT%H:%M:%SZ}; at most one in {hours:.0f} h unless forced"


def newest_judged(problem: Problem) -> str | None:
    """The newest month with data whose following month has data as well; None for a problem without time."""
    if problem.time is None:
        return None
    months = sorted(set(problem.load(None, None)[problem.time].dt.strftime("%Y-%m")))
    if len(months) < 2:
        raise DataError("ML-TRAIN-003", f"{len(months)} months have data; at least 2 are needed", "wait for more data")
    return str(months[-2])


def is_firing(prometheus: str | None, client: httpx.Client | None = None) -> bool:
    """Whether the drift alert fires.

    Raises:
        ConfigError: If nobody said where Prometheus is.
        TransientError: If it does not answer as it should.
    """
    if prometheus is None:
        raise ConfigError("ML-TRAIN-020", "--reason drift needs --prometheus", "--prometheus http://prometheus:9090")
    try:
        with client or httpx.Client(timeout=20) as http:
            answer = http.get(f"{prometheus}/api/v1/query", params={"query": ALERT}).raise_for_status().json()
        return bool(answer["data"]["result"])
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        message = f"Prometheus at {prometheus} does not say whether the drift alert fires: {type(error).__name__}"
        raise TransientError("ML-TRAIN-021", message, "the next run asks again") from error


def _login(folder: Path | None) -> dict[str, str | None]:
    if folder is None:
        return {"username": None, "password": None}
    try:
        return {name: (folder / name).read_text(encoding="utf-8").strip() for name in ("username", "password")}
    except OSError as error:
        message = f"{folder}: holds no login: {error.strerror}"
        raise ConfigError("ML-TRAIN-019", message, "mount the Secret mlflow-auth there") from error


if __name__ == "__main__":
    sys.exit(main())
