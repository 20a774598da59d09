"""Postgres and MLflow as declared."""

from infra.backing.tracking import TrackingArgs, allowed_hosts
from infra.backing.workloads import Exposure


def container(platform, kind, name):
    (found,) = platform.one(kind, name).inputs["spec"]["template"]["spec"]["containers"]
    return found


def environment(platform):
    return {one["name"]: one["value"] for one in container(platform, "Deployment", "mlflow")["env"]}


def test_postgres_keeps_its_data_in_a_claim_of_its_own(platform):
    spec = platform.one("StatefulSet", "postgres").inputs["spec"]
    (claim,) = spec["volumeClaimTemplates"]

    assert spec["replicas"] == 1
    assert claim["spec"]["resources"]["requests"] == {"storage": "5Gi"}
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert platform.one("Service", "postgres").inputs["spec"]["clusterIP"] == "None"


def test_a_single_database_has_no_disruption_budget_that_would_block_a_drain(platform):
    assert platform.of("PodDisruptionBudget") == []


def test_mlflow_runs_under_uvicorn_with_logins_and_one_worker(platform):
    arguments = container(platform, "Deployment", "mlflow")["args"]

    assert "--app-name=basic-auth" in arguments
    assert "--serve-artifacts" in arguments
    assert "--workers=1" in arguments
    for refused in ("gunicorn", "waitress", "disable-security", "0.0.0.0/0", "*"):
        assert not any(refused in argument for argument in arguments)


def test_mlflow_is_hardened_by_its_environment(platform):
    found = environment(platform)

    assert found["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"
    assert found["MLFLOW_CREATE_MODEL_VERSION_SOURCE_VALIDATION_REGEX"] == "^mlflow-artifacts:/"
    assert found["MLFLOW_BASIC_AUTH_FAIL_CLOSED"] == "true"
    assert found["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert found["DATABASE_ADDRESS"] == "postgres:5432"
    assert "*" not in found["MLFLOW_SERVER_ALLOWED_HOSTS"] + found["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"]


def test_mlflow_answers_to_its_names_and_ports_and_no_other():
    args = TrackingArgs(
        namespace="ml-prod",
        namespace_name="ml-prod",
        image="x",
        service_account="mlflow",
        database="postgres:5432",
        database_secret="a",
        auth_secret="b",
        exposure=Exposure(type="NodePort", node_port=31500),
        public_hosts=("mlflow.example.com",),
    )

    assert allowed_hosts(args) == [
        "mlflow:5000",
        "mlflow.ml-prod:5000",
        "mlflow.ml-prod.svc:5000",
        "mlflow.ml-prod.svc.cluster.local:5000",
        "127.0.0.1:5000",
        "localhost:5000",
        "127.0.0.1:31500",
        "localhost:31500",
        "mlflow.example.com",
    ]


def test_readiness_of_mlflow_asks_the_database_and_liveness_does_not(platform):
    found = container(platform, "Deployment", "mlflow")

    assert found["readinessProbe"]["exec"]["command"] == ["python3", "/opt/mlflow/ready.py"]
    assert found["livenessProbe"]["httpGet"]["path"] == "/health"


def test_metrics_of_mlflow_are_not_on_the_service_people_use(platform):
    (port,) = platform.one("Service", "mlflow").inputs["spec"]["ports"]
    (metrics,) = platform.one("Service", "mlflow-metrics").inputs["spec"]["ports"]

    assert (port["port"], port["nodePort"]) == (5000, 30500)
    assert metrics["port"] == 9101
    assert platform.one("Service", "mlflow-metrics").inputs["spec"]["type"] == "ClusterIP"
