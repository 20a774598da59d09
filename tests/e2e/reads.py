"""What the walk asks the cluster, MLflow and Prometheus."""

import json
import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.e2e.machine import Machine

STAGING, PROD = "ml-staging", "ml-prod"
# Kinds whose resourceVersion moves only when somebody changes them: no HPA, CronJob or Lease, which report status.
STILL_KINDS = (
    "services,configmaps,secrets,serviceaccounts,deployments,statefulsets,"
    "networkpolicies,roles,rolebindings,persistentvolumeclaims"
)


def mlflow_versions(machine: Machine) -> set[str]:
    password = machine.secret("mlp", "mlflow-password", "--stack", "staging")
    script = (
        "import mlflow\n"
        "c = mlflow.MlflowClient('http://127.0.0.1:30500')\n"
        "versions = c.search_model_versions(\"name='flights'\")\n"
        "assert all(c.get_run(v.run_id).data.metrics for v in versions)\n"
        "print(*[v.tags['release'] for v in versions])"
    )
    out = machine.run(
        "python", "-c", script, MLFLOW_TRACKING_USERNAME="operator", MLFLOW_TRACKING_PASSWORD=password
    ).stdout
    return set(out.splitlines()[-1].split())


def prometheus(machine: Machine, query: str) -> float:
    out = machine.text(
        "curl", "-fsS", "--get", "http://127.0.0.1:30900/api/v1/query", "--data-urlencode", f"query={query}"
    )
    result = json.loads(out)["data"]["result"]
    return float(result[0]["value"][1]) if result else 0.0


def eventually(check: Callable[[], bool], deadline_s: float) -> None:
    end = time.monotonic() + deadline_s
    while not check():
        if time.monotonic() > end:
            raise AssertionError(f"not true within {deadline_s} s")
        time.sleep(1)


def resource_versions(machine: Machine) -> Mapping[str, str]:
    items = machine.kubectl("get", STILL_KINDS, "-n", STAGING)["items"]
    return {f"{i['kind']}/{i['metadata']['name']}": i["metadata"]["resourceVersion"] for i in items}


def image(machine: Machine, namespace: str, deployment: str) -> str:
    spec: Any = machine.kubectl("get", "deployment", deployment, "-n", namespace)["spec"]
    return str(spec["template"]["spec"]["containers"][0]["image"])


def next_month(month: str) -> str:
    year, number = (int(part) for part in month[:7].split("-"))
    return f"{year + number // 12:04d}-{number % 12 + 1:02d}"


def drift_verdict(machine: Machine, job: str) -> Any:
    """Run the stack's drift check now and return the line that it prints."""
    machine.run("kubectl", "create", "job", "-n", STAGING, job, "--from=cronjob/drift-check")

    def finished() -> bool:
        status = machine.kubectl("get", "job", job, "-n", STAGING)["status"]
        return bool(status.get("succeeded") or status.get("failed"))

    eventually(finished, 120)
    return json.loads(machine.text("kubectl", "logs", "-n", STAGING, f"job/{job}").splitlines()[-1])


def replay(machine: Machine, port: int, key: str, rows: int) -> None:
    """Send real flights of the month after the training months, 500 a request."""
    script = (
        "import json, math, os, sys, httpx\n"
        "from ml.problem import current\n"
        "names = [f.name for f in current().features]\n"
        "table = current().load('2013-07', '2013-07')[names].head(int(sys.argv[2]))\n"
        "whole = [[None if v is None or v != v else v for v in row] for row in table.astype(object).values.tolist()]\n"
        "headers = {'Authorization': 'Bearer ' + os.environ['KEY']}\n"
        "with httpx.Client(base_url=sys.argv[1], headers=headers) as client:\n"
        "    for i in range(0, len(whole), 500):\n"
        "        client.post('/predict', json={'instances': whole[i : i + 500]}).raise_for_status()\n"
    )
    machine.run("python", "-c", script, f"http://127.0.0.1:{port}", str(rows), KEY=key)


def kill_everything(machine: Machine) -> int:
    """SIGKILL to every process of the walk's cluster: components, shims and all that runs in containers."""
    home = str(machine.home).encode()
    doomed = [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit() and belongs(p, home)]
    for pid in doomed:
        os.kill(pid, signal.SIGKILL)
    return len(doomed)


def belongs(process: Path, home: bytes) -> bool:
    try:
        return home in (process / "cmdline").read_bytes() or b"kubepods" in (process / "cgroup").read_bytes()
    except OSError:
        return False
