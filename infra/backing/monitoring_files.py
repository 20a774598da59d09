"""The files that Prometheus and Alertmanager read, from the data files in `infra/monitoring`.

Pure but for reading those files. They are valid by themselves (promtool and amtool check them); this adds what differs
between stacks: where the runbooks are, and who is notified.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

DIRECTORY: Final = Path(__file__).parents[1] / "monitoring"

_RUNBOOK: Final = re.compile(r"^(\s*runbook_url: )(docs/runbooks/)", re.MULTILINE)


def prometheus_files(directory: Path = DIRECTORY) -> dict[str, str]:
    """Prometheus' own configuration: file name -> content."""
    return {"prometheus.yml": (directory / "config/prometheus.yml").read_text(encoding="utf-8")}


def rule_files(runbook_base: str, directory: Path = DIRECTORY) -> dict[str, str]:
    """The alert rules: file name -> content.

    Args:
        runbook_base: Put before `docs/runbooks/`, such as `https://HOST/OWNER/REPO/blob/main/`; empty leaves the path
            inside the repository.
        directory: Where `rules/` is.
    """
    found = sorted((directory / "rules").glob("*.yml"))
    return {path.name: with_runbook_base(path.read_text(encoding="utf-8"), runbook_base) for path in found}


def with_runbook_base(rules: str, base: str) -> str:
    """Rules whose `runbook_url` begins with `base`."""
    prefix = base if not base or base.endswith("/") else f"{base}/"
    return _RUNBOOK.sub(lambda match: f"{match[1]}{prefix}{match[2]}", rules)


def alertmanager_files(webhook_url: str, directory: Path = DIRECTORY) -> dict[str, str]:
    """Alertmanager's configuration: file name -> content.

    Args:
        webhook_url: Receives every notification; empty: none is sent. It may carry a token: treat the result as secret.
        directory: Where `config/` is.
    """
    path = directory / "config/alertmanager.yml"
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    if webhook_url:
        content["receivers"] = [_with_webhook(receiver, webhook_url) for receiver in content["receivers"]]
    return {path.name: yaml.safe_dump(content, sort_keys=False)}


def _with_webhook(receiver: Mapping[str, Any], url: str) -> dict[str, Any]:
    return {**receiver, "webhook_configs": [{"url": url, "send_resolved": True}]}
