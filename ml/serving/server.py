"""Runs the application on uvicorn, and stops it without losing a request.

On SIGTERM the server first keeps serving: `/ready` says 503 and every answer carries `Connection: close`, so that
keep-alive clients move to another pod. Only then the listener closes and what still runs is finished. uvicorn alone
would cut idle keep-alive connections at once, in the middle of a client's next request.

uvicorn bounds an idle connection (`timeout_keep_alive`); a trickled body is bounded by `ml.serving.http`. A trickled
*header* is not bounded yet.
"""

import asyncio
import logging
import socket

import uvicorn

from ml.errors import SurroundingsError
from ml.serving.app import App
from ml.serving.log import event
from ml.serving.settings import Settings

logger = logging.getLogger(__name__)

BACKLOG = 2048
KEEP_ALIVE_S = 75  # longer than the 60 s that load balancers keep their side open, so that they close first
DRAIN_POLL_S = 0.05


class DrainingServer(uvicorn.Server):
    """A uvicorn server that drains its connections before it stops."""

    def __init__(self, config: uvicorn.Config, app: App, drain_s: float) -> None:
        super().__init__(config)
        self._app = app
        self._drain_s = drain_s

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then stop as uvicorn does."""
        self._app.draining = True
        event(logger, logging.INFO, "draining", connections=len(self.server_state.connections), seconds=self._drain_s)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._drain_s
        while self.server_state.connections and loop.time() < deadline and not self.force_exit:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(DRAIN_POLL_S)
        await super().shutdown(sockets)
        event(logger, logging.INFO, "stopped")


def listen(settings: Settings) -> socket.socket:
    """The listening socket.

    Raises:
        SurroundingsError: `ML-SERVE-010` when the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG)
    except OSError as error:
        message = f"cannot listen on {settings.host}:{settings.port}: {error.strerror}"
        raise SurroundingsError("ML-SERVE-010", message, "free the port or set PORT") from error


def run(app: App, settings: Settings, listener: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT."""
    config = uvicorn.Config(
        app,
        http="httptools",
        loop="uvloop",
        ws="none",
        lifespan="off",
        interface="asgi3",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=max(1, round(settings.grace_s)),
    )
    DrainingServer(config, app, settings.drain_s).run(sockets=[listener])
