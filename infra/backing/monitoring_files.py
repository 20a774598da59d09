"""The files that Prometheus and Alertmanager read, from the data files in `infra/monitoring`.

Pure but for reading those files. They are valid by themselves (promtool and amtool check them); this adds what differs
between stacks: where the runbooks are, and who is notified.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from infra.backing.flows import GPU_EXPORTER_PORT

DIRECTORY: Final = Path(__file__).parents[1] / "monitoring"

GPU_RULES: Final = "gpu.yml"
GPU_METRICS: Final = "DCGM_FI_DEV_(FB_FREE|FB_USED|GPU_TEMP|GPU_UTIL|POWER_USAGE|XID_ERRORS)"
"""What is kept of the exporter's hundred metrics: by these a person sees whether a GPU works, and how hard."""

_RUNBOOK: Final = re.compile(r"^(\s*runbook_url: )(docs/runbooks/)", re.MULTILINE)


def prometheus_files(jobs: Sequence[Mapping[str, Any]] = (), directory: Path = DIRECTORY) -> dict[str, str]:
    """Prometheus' own configuration: file name -> content.

    Args:
        jobs: Scrape jobs that only this stack has.
        directory: Where `config/` is.
    """
    text = (directory / "config/prometheus.yml").read_text(encoding="utf-8")
    if jobs:
        content: dict[str, Any] = yaml.safe_load(text)
        content["scrape_configs"] += jobs
        text = yaml.safe_dump(content, sort_keys=False)
    return {"prometheus.yml": text}


def gpu_job(service: str, space: str, ours: str) -> dict[str, Any]:
    """The scrape job for the cluster's DCGM exporter.

    Args:
        service: Its Service; where that is headless, its name stands for every exporter.
        space: The namespace that this is in.
        ours: The namespace whose pods' GPUs are kept; those of others are not our business.
    """
    return {
        "job_name": "dcgm",
        # The exporter's own labels name the pod that has the GPU.
        "honor_labels": True,
        "dns_sd_configs": [
            {"names": [f"{service}.{space}"], "type": "A", "port": GPU_EXPORTER_PORT, "refresh_interval": "30s"}
        ],
        "metric_relabel_configs": [
            {"source_labels": ["namespace"], "regex": ours, "action": "keep"},
            {"source_labels": ["__name__"], "regex": GPU_METRICS, "action": "keep"},
        ],
    }


def rule_files(runbook_base: str, directory: Path = DIRECTORY, *, gpu: bool = False) -> dict[str, str]:
    """The alert rules: file name -> content.

    Args:
        runbook_base: Put before `docs/runbooks/`, such as `https://HOST/OWNER/REPO/blob/main/`; empty leaves the path
            inside the repository.
        directory: Where `rules/` is.
        gpu: With the rules about GPUs.
    """
    found = sorted(path for path in (directory / "rules").glob("*.yml") if gpu or path.name != GPU_RULES)
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
