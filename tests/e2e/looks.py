"""A bad release gets the traffic once more, watched by the analysis Job of the stack, without a whole `pulumi up`."""

import json
import re
import time
from datetime import datetime

from tests.e2e.machine import Machine
from tests.e2e.reads import STAGING, eventually


def look_again(machine: Machine, number: int) -> float:
    """Give the bad release the traffic once more, and watch it by the Job of the stack; when it had decided."""
    service = json.loads(machine.text("kubectl", "get", "service", "model", "-n", STAGING, "-o", "json"))
    assert service["spec"]["selector"]["ml-pipeline/slot"] == "blue"
    time.sleep(3)  # so that clients see one change after the other
    jobs = machine.kubectl("get", "jobs", "-n", STAGING, "-l", "app.kubernetes.io/name=analysis")["items"]
    latest = max(jobs, key=lambda job: job["metadata"]["creationTimestamp"])
    name = f"analysis-drill-{number}-{int(time.time())}"
    again = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": STAGING, "labels": {"drill": "degraded"}},
        "spec": {key: latest["spec"][key] for key in ("backoffLimit", "activeDeadlineSeconds")},
    }
    template = latest["spec"]["template"]
    own = {key: value for key, value in template["metadata"]["labels"].items() if "job" not in key and "uid" not in key}
    again["spec"]["template"] = {"metadata": {**template["metadata"], "labels": own}, "spec": template["spec"]}
    file = machine.home / f"{name}.json"
    file.write_text(json.dumps(again))
    machine.run("kubectl", "annotate", "service", "model", "-n", STAGING, "ml-pipeline/rolled-back-")
    selector = json.dumps({"spec": {"selector": {"ml-pipeline/slot": "green"}}})
    machine.run("kubectl", "patch", "service", "model", "-n", STAGING, "-p", selector)
    machine.run("kubectl", "create", "-f", str(file))
    eventually(lambda: bool(machine.kubectl("get", "job", name, "-n", STAGING)["status"].get("failed")), 120)
    return _decided_at(machine.text("kubectl", "logs", "-n", STAGING, f"job/{name}", "--timestamps"))


def _decided_at(log: str) -> float:
    """When the look that failed was printed, seconds since the epoch."""
    line = next(line for line in log.splitlines() if '"so_far": "fail"' in line)
    stamp = re.sub(r"(\.\d{6})\d*Z$", r"\1+00:00", line.split()[0])
    return datetime.fromisoformat(stamp).timestamp()
