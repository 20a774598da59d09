"""Every alert has a runbook that a person can follow, and every runbook an alert."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
RUNBOOKS = ROOT / "docs/runbooks"
HEADINGS = ["Meaning", "Impact", "Diagnosis", "Mitigation", "Links"]


def alert_names() -> list[str]:
    return sorted(
        rule["alert"]
        for path in (ROOT / "infra/monitoring/rules").glob("*.yml")
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    )


def runbook(alert: str) -> str:
    return (RUNBOOKS / f"{alert}.md").read_text()


def section(text: str, heading: str) -> str:
    return text.split(f"\n## {heading}\n")[1].split("\n## ", maxsplit=1)[0]


def test_alerts_and_runbooks_are_the_same_set() -> None:
    assert alert_names() == sorted(path.stem for path in RUNBOOKS.glob("*.md"))


@pytest.mark.parametrize("alert", alert_names())
def test_a_runbook_has_its_sections_and_fits_a_screen(alert: str) -> None:
    text = runbook(alert)

    assert text.startswith(f"# {alert}\n")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == HEADINGS
    assert all(section(text, heading).strip() for heading in HEADINGS)
    assert len(text.splitlines()) < 60


@pytest.mark.parametrize("alert", alert_names())
def test_the_first_mitigation_is_the_safe_rollback(alert: str) -> None:
    first = re.split(r"^2\. ", section(runbook(alert), "Mitigation"), flags=re.MULTILINE)[0]

    assert "mlp rollback --stack $STACK" in first


@pytest.mark.parametrize("alert", alert_names())
def test_the_commands_of_a_runbook_can_be_pasted(alert: str) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", section(runbook(alert), "Diagnosis"), re.DOTALL)

    assert blocks
    for block in blocks:
        done = subprocess.run(["bash", "-n"], input=block, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        assert not re.search(r"<[a-z-]+>", block), "a placeholder that a person has to edit"


@pytest.mark.parametrize("alert", alert_names())
def test_the_links_of_a_runbook_lead_somewhere(alert: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", runbook(alert)):
        assert (RUNBOOKS / target).resolve().exists(), target
