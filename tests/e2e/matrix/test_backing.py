"""Services behind the release that are not there: MLflow at a deploy."""

import pytest

from tests.e2e.bench import Bench
from tests.e2e.drills import UP
from tests.e2e.matrix.rows import row
from tests.e2e.reads import STAGING
from tests.e2e.updates import configured, turn

pytestmark = pytest.mark.e2e

MLFLOW = ("deployment/mlflow", "-n", STAGING)


def test_row_29_mlflow_is_down_at_a_deploy(bench: Bench) -> None:
    with row(29, "MLflow is down while a release is switched to") as result:
        bench.settle()
        turn(bench.machine)
        with bench.clients() as clients:
            bench.machine.run("kubectl", "scale", *MLFLOW, "--replicas=0")
            bench.machine.run(
                "kubectl", "wait", "pod", "-n", STAGING, "-l", "app.kubernetes.io/name=mlflow", "--for=delete"
            )
            asked = bench.machine.run("curl", "-sS", "--max-time", "3", "http://127.0.0.1:30500/health", check=False)
            try:
                update = bench.machine.run(*UP, check=False, timeout_s=300)
                half = bench.live() != configured(bench.machine)
                published = bench.machine.run("mlp", "release", "publish", "--stack", "staging", check=False)
            finally:
                bench.machine.run("kubectl", "scale", *MLFLOW, "--replicas=1")
                bench.machine.run("kubectl", "rollout", "status", *MLFLOW, "--timeout=120s", timeout_s=150)
            bench.up()

        result.control("nobody could ask MLflow", asked.returncode != 0, asked.stdout.strip()[-100:])
        result.facts |= {"update_exit": update.returncode, "publish_exit": published.returncode}
        result.facts["publish_said"] = published.stdout.strip()[-300:]
        assert half == (update.returncode != 0), "it moved the traffic, or said that it did not"
        assert "Traceback" not in published.stdout
        assert bench.live() == configured(bench.machine)
        result.lost_nothing(clients.seen)
