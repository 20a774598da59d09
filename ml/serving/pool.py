"""What the connections of one process share: limits, the number of open ones, memory for bodies, the time of day."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.utils import formatdate
from random import SystemRandom
from typing import Protocol

from ml.serving.http import MAX_BODY_BYTES, Request, Response

SWEEP_S = 0.25
"""How often deadlines are looked at, so how late one may be kept: cheaper than a timer for each request."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What one client may take. Times in seconds, sizes in bytes."""

    header_s: float = 5.0
    """From the first byte of a request (of a new connection: from its start) to the end of its header."""
    body_s: float = 10.0
    """From the end of the header to the end of the body; also how long a client may take to read an answer."""
    idle_s: float = 75.0
    """Between two requests; longer than the 60 s of common load balancers, so that they close first."""
    linger_s: float = 2.0
    """Reading on after the last answer, so that a client which still sends can read it before a reset."""
    age_s: float = 10.0
    """After this long, give or take `age_jitter`, an answer says `Connection: close`; 0 is never. A client on a
    kept connection does not see that its Service points elsewhere: this is what moves it."""
    age_jitter: float = 0.2
    """Part of the age, so that connections opened together do not come back together."""
    connections: int = 1024
    """Above it, one that is stuck goes for each that comes; without such, predictions are shed. Probes and metrics are
    always answered."""
    stuck_s: float = 1.0
    """A connection that has been open for so long, and is in the middle of a request or has asked nothing, is stuck."""
    header_bytes: int = 16 * 1024
    buffered_bytes: int = 16 * MAX_BODY_BYTES
    """Unfinished bodies of all connections together."""


class Connection(Protocol):
    """What the pool does with a connection."""

    def expire(self, now: float) -> None:
        """Close it when a deadline has passed."""
        ...

    def stuck(self, now: float) -> bool:
        """Whether it keeps a place without having asked for anything whole."""
        ...

    def close_if_idle(self) -> None:
        """Close it unless a request is under way."""
        ...

    def abort(self) -> None:
        """Drop it."""
        ...


class Cancellable(Protocol):
    """A request being answered."""

    def cancel(self) -> None:
        """Nobody waits for the answer any more."""
        ...


class Application(Protocol):
    """What connections ask of the application; none of it blocks or raises."""

    def admit(self, request: Request) -> None:
        """Look at the head: sets `route` or `refusal`."""
        ...

    def handle(self, request: Request, reply: Callable[[Response], None]) -> Cancellable | None:
        """Answer a whole or a refused request, at once or later."""
        ...


class Pool:
    """Open connections and their shared state; one event loop owns it."""

    def __init__(self, app: Application, limits: Limits) -> None:
        self.app = app
        self.limits = limits
        self.connections: dict[Connection, None] = {}
        """In the order in which they came."""
        self.draining = False
        self.buffered = 0
        self.date = formatdate(usegmt=True).encode()
        self._random = SystemRandom()

    def age_s(self) -> float:
        """How long a new connection may live."""
        jitter = self.limits.age_jitter
        age = self.limits.age_s or float("inf")
        return age * self._random.uniform(1 - jitter, 1 + jitter)

    @property
    def crowded(self) -> bool:
        """Whether more connections are open than may predict."""
        return len(self.connections) > self.limits.connections

    def enter(self, connection: Connection, now: float) -> None:
        """A connection came. When there are too many, the longest stuck one goes: nobody can keep all places."""
        self.connections[connection] = None
        if self.crowded:
            stuck = next((other for other in self.connections if other.stuck(now)), None)
            if stuck is not None:
                self.leave(stuck)
                stuck.abort()

    def leave(self, connection: Connection) -> None:
        """A connection is gone."""
        self.connections.pop(connection, None)

    def sweep(self, now: float) -> None:
        """Keep every deadline; call it each `SWEEP_S`."""
        self.date = formatdate(usegmt=True).encode()
        for connection in self._all():
            connection.expire(now)

    def close_idle(self) -> None:
        """Close what waits for a client's next request."""
        for connection in self._all():
            connection.close_if_idle()

    def abort(self) -> None:
        """Drop whatever is still open."""
        for connection in self._all():
            connection.abort()

    def _all(self) -> Iterator[Connection]:
        yield from list(self.connections)
