"""Listens, and stops without losing a request.

On SIGTERM the server first keeps serving: `/ready` says 503 and every answer carries `Connection: close`, so that
keep-alive clients move to another pod. Only then the listener closes, idle connections are closed, and what still runs
is finished. Closing at once would cut keep-alive connections in the middle of a client's next request.
"""

import asyncio
import logging
import signal
import socket

import uvloop

from ml.errors import SurroundingsError
from ml.serving.app import App
from ml.serving.connection import HttpConnection
from ml.serving.log import event
from ml.serving.pool import SWEEP_S, Pool
from ml.serving.settings import Settings

logger = logging.getLogger(__name__)

BACKLOG = 2048
POLL_S = 0.05


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
    """Serve until SIGTERM or SIGINT; a second one ends the wait for clients."""
    uvloop.run(_serve(app, settings, listener))


async def _serve(app: App, settings: Settings, listener: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    pool = Pool(app, settings.limits)
    app.metrics.connections = lambda: len(pool.connections)
    stop, hurry = asyncio.Event(), asyncio.Event()

    def on_signal() -> None:
        (hurry if stop.is_set() else stop).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    server = await loop.create_server(lambda: HttpConnection(pool, loop), sock=listener, backlog=BACKLOG)
    sweeper = loop.create_task(_sweep(pool))
    await stop.wait()
    app.draining = pool.draining = True
    event(logger, logging.INFO, "draining", connections=len(pool.connections), seconds=settings.drain_s)
    await _emptied(pool, settings.drain_s, hurry)
    server.close()
    pool.close_idle()
    await _emptied(pool, settings.grace_s, hurry)
    dropped = len(pool.connections)
    pool.abort()
    sweeper.cancel()
    event(logger, logging.INFO, "stopped", dropped=dropped)


async def _sweep(pool: Pool) -> None:
    loop = asyncio.get_running_loop()
    while True:
        pool.sweep(loop.time())
        await asyncio.sleep(SWEEP_S)


async def _emptied(pool: Pool, seconds: float, hurry: asyncio.Event) -> None:
    """Wait until every connection is gone, for at most so long."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while pool.connections and loop.time() < deadline and not hurry.is_set():  # noqa: ASYNC110 - three conditions
        await asyncio.sleep(POLL_S)
