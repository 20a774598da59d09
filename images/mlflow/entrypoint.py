"""Starts the tracking server: settings and the administrator from mounted Secrets, then `mlflow server`.

Secrets come as files and stay in this process and in a memory-backed directory: none is in the pod's specification, in
an argument list or in a database address. What is not secret is an argument or a variable of the Deployment.
"""

# ruff: noqa: INP001  (a script of the image, not part of a package)

import os
import shutil
import sys
from pathlib import Path

SECRETS = Path(os.environ.get("SECRETS", "/run/secrets"))
RUNTIME = Path(os.environ.get("RUNTIME", "/run/mlflow"))
DATABASE_ADDRESS = os.environ.get("DATABASE_ADDRESS", "postgres:5432")
METRICS_PORT = int(os.environ.get("METRICS_PORT", "9101"))
# A password's hash is slow to compute on purpose, half a second beside other work, and MLflow would do it for every
# request. Another password is in force at once after a restart, which a rotation makes, and else after so long.
PASSWORD_SEEN_S = 60


def secret(name: str) -> str:
    """The content of one mounted secret file; exits with the file's name when it is missing or empty."""
    path = SECRETS / name
    value = path.read_text(encoding="utf-8").strip() if path.is_file() else ""
    if not value:
        sys.exit(f"mlflow: {path} is missing or empty. Fix: mount the Secret that holds it")
    return value


def write_private(name: str, text: str) -> Path:
    """Write a file only this uid can read, as libpq demands of a password file."""
    path = RUNTIME / name
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    return path


def database_uri(database: str, password_file: Path) -> str:
    """Address of a database without its password, which libpq reads from `password_file`."""
    return f"postgresql+psycopg2://mlflow@{DATABASE_ADDRESS}/{database}?passfile={password_file}"


def configure() -> None:
    """Set what MLflow reads at import; must run before it is imported."""
    escaped = secret("postgres/password").replace("\\", "\\\\").replace(":", "\\:")
    password_file = write_private("pgpass", f"*:*:*:mlflow:{escaped}\n")
    auth_uri = database_uri("mlflow_auth", password_file)
    auth = write_private(
        "auth.ini",
        "[mlflow]\n"
        "default_permission = NO_PERMISSIONS\n"
        f"database_uri = {auth_uri.replace('%', '%%')}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        f"auth_cache_ttl_seconds = {PASSWORD_SEEN_S}\n",
    )
    metrics = RUNTIME / "metrics"
    # Left behind by a killed container of the same pod: counters of processes that are gone.
    shutil.rmtree(metrics, ignore_errors=True)
    metrics.mkdir()
    os.environ |= {
        "MLFLOW_BACKEND_STORE_URI": database_uri("mlflow", password_file),
        "MLFLOW_AUTH_CONFIG_PATH": str(auth),
        "MLFLOW_AUTH_ADMIN_USERNAME": secret("mlflow/username"),
        "MLFLOW_AUTH_ADMIN_PASSWORD": secret("mlflow/password"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secret("mlflow/flask-secret-key"),
        "PROMETHEUS_MULTIPROC_DIR": str(metrics),
        "MLFLOW_EXPOSE_PROMETHEUS": str(metrics),
    }


def hold_administrator_to_secret() -> None:
    """Make the administrator, or give it the mounted password again when the Secret was rotated."""
    from mlflow.server import auth  # noqa: PLC0415  (reads the environment that configure() sets)

    name, password = secret("mlflow/username"), secret("mlflow/password")
    auth.bootstrap_admin_user()
    if not auth.store.authenticate_user(name, password):
        # MLflow itself reads the password once, when it makes the user.
        auth.store.update_user(name, password=password)
    # Only the lines above needed it; the server's own processes must not inherit it.
    del os.environ["MLFLOW_AUTH_ADMIN_PASSWORD"]


def expose_metrics() -> None:
    """Serve the server's metrics on a port of their own.

    MLflow shows `/metrics` to administrators only, and a scraper that holds the administrator's password could change
    the registry. This process outlives no server: it ends with it, and then the scrape fails, as it should.
    """
    from prometheus_client import CollectorRegistry, multiprocess, start_http_server  # noqa: PLC0415  (as above)

    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry, path=os.environ["PROMETHEUS_MULTIPROC_DIR"])
    start_http_server(METRICS_PORT, registry=registry)


def main() -> None:
    """Configure, and run the server until it is told to stop."""
    configure()
    hold_administrator_to_secret()
    expose_metrics()
    from mlflow.cli import cli  # noqa: PLC0415  (as above)

    cli(["server", *sys.argv[1:]])


if __name__ == "__main__":
    main()
