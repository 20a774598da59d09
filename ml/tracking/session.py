"""A client of one tracking server: credentials only while it is used, failures as our errors."""

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ml.errors import ConfigError, PipelineError, TransientError

_REQUEST_TIMEOUT_S = 20
_RETRIES = 3  # mlflow's default is 7 with doubling pauses: minutes of silence when a server is gone


@contextmanager
def session(tracking_uri: str, username: str | None, password: str | None) -> Iterator[Any]:
    """An MlflowClient; outside the block the process has neither the credentials nor our settings.

    Args:
        tracking_uri: Of the server, `http://127.0.0.1:30500`.
        username: For basic auth; None for a server without it.
        password: For basic auth.

    Raises:
        ConfigError: If the server refuses the credentials.
        TransientError: If it does not answer, or answers with a failure of its own.
        PipelineError: If it refuses a request.
    """
    settings = {
        "MLFLOW_TRACKING_USERNAME": username,
        "MLFLOW_TRACKING_PASSWORD": password,
        "MLFLOW_TRACKING_TOKEN": None,  # would win over the password
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(_REQUEST_TIMEOUT_S),
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(_RETRIES),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    }
    with _environment(settings):
        # Late, because it takes seconds, and inside the settings, because it reads some of them when imported.
        mlflow, exceptions = importlib.import_module("mlflow"), importlib.import_module("mlflow.exceptions")
        requests = importlib.import_module("requests")
        try:
            yield mlflow.MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
        except exceptions.MlflowException as error:
            raise _ours(error, tracking_uri) from error
        except requests.exceptions.RequestException as error:
            raise _ours(error, tracking_uri) from error


def _ours(error: Exception, tracking_uri: str) -> PipelineError:
    """Our error for what mlflow or its HTTP library raised. Never the request: its headers hold the password."""
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None) or getattr(error, "get_http_status_code", lambda: 0)()
    text = str(error)
    if status in (401, 403) or "error code 401" in text or "error code 403" in text:
        return ConfigError(
            "ML-TRACK-001",
            f"the tracking server {tracking_uri} refuses these credentials",
            "take username and password from the Secret mlflow-auth of the stack",
        )
    code = getattr(error, "error_code", "")
    if isinstance(error, OSError) or "Max retries" in text or code in ("TEMPORARILY_UNAVAILABLE", "INTERNAL_ERROR"):
        return TransientError(
            "ML-TRACK-002",
            f"the tracking server {tracking_uri} does not answer as it should: {_first_line(text)}",
            "kubectl get pods -l app.kubernetes.io/name=mlflow; the same command continues where this one stopped",
        )
    return PipelineError("ML-TRACK-003", f"the tracking server {tracking_uri} refused: {_first_line(text)}")


def _first_line(text: str, limit: int = 200) -> str:
    line = text.strip().partition("\n")[0]
    return line if len(line) <= limit else f"{line[:limit]}…"


@contextmanager
def _environment(settings: dict[str, str | None]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in settings}
    _set(settings)
    try:
        yield
    finally:
        _set(before)


def _set(settings: dict[str, str | None]) -> None:
    for name, value in settings.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
