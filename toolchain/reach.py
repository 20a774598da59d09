"""What `make up` prints at its end: where everything is, a call that can be pasted, and what to do next."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LABELS = {
    "model": "live model",
    "model-preview": "idle slot (preview)",
    "mlflow": "MLflow",
    "prometheus": "Prometheus",
    "alertmanager": "Alertmanager",
}


def summary(stack: str, urls: Mapping[str, str], golden: Mapping[str, Any] | None) -> str:
    """The closing text.

    Args:
        stack: The stack's name.
        urls: Service name to URL, as the stack exports them.
        golden: One real row as an object keyed by feature, from the live release; None when no release is live.
    """
    lines = ["", f"Stack {stack} is up.", ""]
    names = [name for name in LABELS if name in urls] + sorted(set(urls) - set(LABELS))
    lines += [f"  {LABELS.get(name, name):<22} {urls[name]}" for name in names]
    if golden is not None and "model" in urls:
        body = json.dumps({"features": golden}, ensure_ascii=False)
        lines += ["", "Ask the model about a real flight:", "", curl(stack, urls["model"], body)]
    if "mlflow" in urls:
        lines += ["", "Open MLflow as user operator; its password is printed by:", ""]
        lines += [f"  .venv/bin/mlp mlflow-password --stack {stack}"]
    lines += [
        "",
        "Next:",
        "  source .venv/bin/activate           pulumi, kubectl and mlp in this shell, for this cluster",
    ]
    lines += [
        f"  pulumi preview --stack {stack:<12} what a change would do",
        "  make test                           prove it",
    ]
    return "\n".join(lines) + "\n"


def curl(stack: str, url: str, body: str) -> str:
    """A call that can be pasted into a shell."""
    quoted = body.replace("'", "'\\''")
    return (
        f"  curl -sS {url}/predict -H 'Content-Type: application/json' \\\n"
        f'    -H "Authorization: Bearer $(.venv/bin/mlp api-key --stack {stack})" \\\n'
        f"    -d '{quoted}'"
    )


def golden_row(release: Path) -> dict[str, Any] | None:
    """The first golden row of a release, keyed by feature name."""
    file = release / "serving.json"
    if not file.exists():
        return None
    serving = json.loads(file.read_text())
    names = [feature["name"] for feature in serving["features"]]
    return dict(zip(names, serving["golden"]["rows"][0], strict=True))
