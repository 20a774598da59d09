"""Readiness of the tracking server: an authenticated search, which needs both databases (`/health` needs neither)."""

# ruff: noqa: INP001  (a script of the image, not part of a package)

import base64
import http.client
import os
import sys
from pathlib import Path

SECRETS = Path(os.environ.get("SECRETS", "/run/secrets"))


def main() -> None:
    """Exit 0 when the search answers 200, else say what it answered."""
    username, password = ((SECRETS / "mlflow" / key).read_text().strip() for key in ("username", "password"))
    token = base64.b64encode(f"{username}:{password}".encode()).decode()
    connection = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("PORT", "5000")), timeout=4)
    try:
        connection.request(
            "GET",
            "/api/2.0/mlflow/experiments/search?max_results=1",
            # The host check knows the Service's name, not the loopback address.
            headers={"Authorization": f"Basic {token}", "Host": os.environ.get("READY_HOST", "mlflow:5000")},
        )
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        sys.exit(f"mlflow does not answer: {error}")
    if status != http.client.OK:
        sys.exit(f"an authenticated search answered {status}, not 200: is Postgres up?")


if __name__ == "__main__":
    main()
