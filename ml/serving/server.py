"""Listens, and stops without losing a request.

On SIGTERM the server first keeps serving: `/ready` says 503 and every answer carries `Connection: close`, so that
keep-alive clients move to another pod. Only then the listener closes, idle connections are closed, and what still runs
is finished. Closing at once would cut keep-alive connections in the middle of a client's next request. Also without any
connection the listener stays for all of that time: somebody's rules may still lead here, and would be refused.
"""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable

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
    """Serve until SIGTERM or SIGINT; a second one ends the wait for clients.

    SIGINT comes from a person, who also waits: with it the server does not stay for clients that it does not have.
    """
    uvloop.run(_serve(app, settings, listener))


async def _serve(app: App, settings: Settings, listener: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    pool = Pool(app, settings.limits)
    app.metrics.connections = lambda: len(pool.connections)
    stop, by_hand, hurry = asyncio.Event(), asyncio.Event(), asyncio.Event()

    def on_signal(number: signal.Signals) -> None:
        (hurry if stop.is_set() else stop).set()
        if number is signal.SIGINT:
            by_hand.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    server = await loop.create_server(lambda: HttpConnection(pool, loop), sock=listener, backlog=BACKLOG)
    sweeper = loop.create_task(_sweep(pool))
    if app.shadow is not None:
        app.shadow.start()
    await stop.wait()
    app.draining = pool.draining = True
    if app.shadow is not None:
        app.shadow.stop()
    event(logger, logging.INFO, "draining", connections=len(pool.connections), seconds=settings.drain_s)
    await _drained(settings.drain_s, lambda: hurry.is_set() or (by_hand.is_set() and not pool.connections))
    server.close()
    pool.close_idle()
    await _drained(settings.grace_s, lambda: hurry.is_set() or not pool.connections)
    dropped = len(pool.connections)
    pool.abort()
    sweeper.cancel()
    event(logger, logging.INFO, "stopped", dropped=dropped)


async def _sweep(pool: Pool) -> None:
    loop = asyncio.get_running_loop()
    while True:
        pool.sweep(loop.time())
        await asyncio.sleep(SWEEP_S)


async def _drained(seconds: float, enough: Callable[[], bool]) -> None:
    """Wait so long, or until it is enough."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while loop.time() < deadline and not enough():  # noqa: ASYNC110 - several conditions
        await asyncio.sleep(min(POLL_S, max(deadline - loop.time(), 0)))
