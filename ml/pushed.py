"""Hands the figures of a job that ends to the stack's Pushgateway, where Prometheus finds them.

Figures are about work that is done: one that cannot be handed over is said in the log and fails nothing.
"""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping

TIMEOUT_S = 10.0


def gauge(name: str, words: str, values: Mapping[str, float], label: str = "") -> str:
    """A gauge in the Prometheus text format.

    Args:
        name: The metric's.
        words: What it tells.
        values: Value of the label -> value of the metric; without `label`, one value under any key.
        label: Name of the label.
    """
    lines = [f"# HELP {name} {words}", f"# TYPE {name} gauge"]
    for value, number in values.items():
        lines.append(f'{name}{{{label}="{value}"}} {number!r}' if label else f"{name} {number!r}")
    return "\n".join(lines) + "\n"


def push(url: str, group: Mapping[str, str], text: str) -> bool:
    """Replace the metrics of these names in a group; whether the gateway took them.

    Args:
        url: The gateway's, such as `http://pushgateway:9091`.
        group: Labels of the group, `job` first; their values hold no slash.
        text: In the Prometheus text format.
    """
    path = "/".join(urllib.parse.quote(part, safe="") for pair in group.items() for part in pair)
    request = urllib.request.Request(  # noqa: S310  (the address is an argument of the job)
        f"{url.rstrip('/')}/metrics/{path}", data=text.encode(), method="POST", headers={"Content-Type": "text/plain"}
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S):  # noqa: S310
            return True
    except (OSError, ValueError) as error:
        reason = error.read().decode(errors="replace") if isinstance(error, urllib.error.HTTPError) else str(error)
        print(json.dumps({"event": "metrics_not_pushed", "url": url, "why": reason.strip()}), flush=True)
        return False
