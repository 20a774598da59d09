"""The alert rules, judged by the real promtool: it runs `infra/monitoring/tests`, also on rules made wrong."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.backing.monitoring_files import gpu_job, prometheus_files, rule_files

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]
MONITORING = ROOT / "infra/monitoring"
RULES = sorted((MONITORING / "rules").glob("*.yml"))
CASES = sorted((MONITORING / "tests").glob("*.yml"))
# Outcomes that are already 0 or 1: dividing them changes nothing that could be seen.
FLAGS = (0.0, 1.0)


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    search = f"{sys.prefix}/bin{os.pathsep}{os.environ.get('PATH', '')}"
    found = shutil.which("promtool", path=search)
    if found is None:
        pytest.fail("promtool is in none of .venv/bin and PATH. Fix: make setup")
    return subprocess.run([found, *map(str, arguments)], capture_output=True, text=True, check=False)


def alerts(path: Path) -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]


def every_alert() -> list[str]:
    return [rule["alert"] for path in RULES for rule in alerts(path)]


def expectations() -> dict[str, list[list[Any]]]:
    """Alert name -> what each of its checks expects, in the order of time within each case."""
    found: dict[str, list[list[Any]]] = {}
    for path in CASES:
        for case in yaml.safe_load(path.read_text())["tests"]:
            by_alert: dict[str, list[Any]] = {}
            for check in case["alert_rule_test"]:
                by_alert.setdefault(check["alertname"], []).append(bool(check["exp_alerts"]))
            for name, outcomes in by_alert.items():
                found.setdefault(name, []).append(outcomes)
    return found


def test_the_rules_do_what_their_tests_say() -> None:
    done = promtool("test", "rules", *CASES)

    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_accepts_its_configuration_and_rules() -> None:
    done = promtool("check", "config", MONITORING / "config/prometheus.yml")

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(RULES)} rule files found" in done.stdout


def test_prometheus_accepts_the_job_for_gpus_as_well(tmp_path: Path) -> None:
    files = {
        "config": prometheus_files([gpu_job("nvidia-dcgm-exporter", "gpu-operator", "ml-staging")]),
        "rules": rule_files("", gpu=True),
    }
    for folder, contents in files.items():
        (tmp_path / folder).mkdir()
        for name, text in contents.items():
            (tmp_path / folder / name).write_text(text)

    done = promtool("check", "config", tmp_path / "config/prometheus.yml")

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(RULES)} rule files found" in done.stdout


@pytest.mark.parametrize("alert", every_alert())
def test_every_alert_is_seen_to_fire_to_stay_silent_and_to_resolve(alert: str) -> None:
    cases = expectations()[alert]
    resolves = any(later is False for case in cases for later in case[case.index(True) :] if True in case)

    assert any(True in case for case in cases)
    if alert != "Watchdog":  # the one that must never resolve
        assert any(False in case for case in cases)
        assert resolves


@pytest.mark.parametrize("alert", every_alert())
def test_every_alert_says_how_bad_what_and_where_to_read_on(alert: str) -> None:
    (rule,) = [rule for path in RULES for rule in alerts(path) if rule["alert"] == alert]

    assert rule["labels"]["severity"] in {"critical", "warning", "none"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert "$value" in rule["annotations"]["description"] or "query" in rule["annotations"]["description"]
    assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{alert}.md"


COMPARISON = re.compile(r"(==|!=|[<>]=?)\s+(\d+(?:\.\d+)?)\b")


def mutants() -> Iterator[Any]:
    """Every limit ten times too high and ten times too low, every waiting time ten times too long."""
    for path in RULES:
        for index, rule in enumerate(alerts(path)):
            for position, found in enumerate(COMPARISON.finditer(rule["expr"])):
                limit = float(found[2])
                wrong = [1.0] if limit == 0 else [limit * 10] if limit in FLAGS else [limit * 10, limit / 10]
                for value in wrong:
                    expr = f"{rule['expr'][: found.start(2)]}{value:g}{rule['expr'][found.end(2) :]}"
                    name = f"{rule['alert']}-limit{position}-{value:g}"
                    yield pytest.param(path, index, {"expr": expr}, id=name)
            if "for" in rule:
                yield pytest.param(path, index, {"for": f"{rule['for']}".replace("m", "0m")}, id=f"{rule['alert']}-for")


def alone(path: Path, rule: dict[str, Any], folder: Path) -> Path:
    """The cases of one alert and a rule file with nothing else, which is what makes a run short."""
    rules = folder / "rules" / path.name
    cases = yaml.safe_load((MONITORING / "tests" / path.name).read_text())
    cases["tests"] = [
        case for case in cases["tests"] if any(c["alertname"] == rule["alert"] for c in case["alert_rule_test"])
    ]
    target = folder / "tests" / path.name
    for file, content in ((rules, {"groups": [{"name": "one", "rules": [rule]}]}), (target, cases)):
        file.parent.mkdir()
        file.write_text(yaml.safe_dump(content))
    return target


@pytest.mark.parametrize(("path", "index", "change"), list(mutants()))
def test_a_rule_made_wrong_is_caught(path: Path, index: int, change: dict[str, str], tmp_path: Path) -> None:
    rule = alerts(path)[index]

    done = promtool("test", "rules", alone(path, rule | change, tmp_path))

    assert rule | change != rule
    assert done.returncode == 1, f"no test notices {change}"
    assert "exp:" in done.stdout + done.stderr, "it must fail on its expectations, not on its syntax"
