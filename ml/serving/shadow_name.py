"""Looks a host's address up in a thread that nobody ever waits for.

The event loop's own lookup would: a name server that does not answer holds up the end of the process for as long as the
resolver tries, well over the time that a pod has to leave.
"""

import asyncio
import contextlib
import socket
import threading


class HostName:
    """One host. At most one thread looks up at a time, and all who wait get what it finds."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._asked: asyncio.Future[str | OSError] | None = None

    async def address(self) -> str:
        """The host's address now.

        Raises:
            OSError: There is none.
        """
        if self._asked is None:
            loop = asyncio.get_running_loop()
            self._asked = loop.create_future()
            threading.Thread(target=self._look_up, args=(loop,), daemon=True).start()
        found = await asyncio.shield(self._asked)
        if isinstance(found, OSError):
            raise found
        return found

    def _look_up(self, loop: asyncio.AbstractEventLoop) -> None:
        found: str | OSError
        try:
            found = str(socket.getaddrinfo(self._name, None, type=socket.SOCK_STREAM)[0][4][0])
        except OSError as error:
            found = error
        except UnicodeError as error:  # no name at all
            found = OSError(str(error))
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(self._found, found)

    def _found(self, found: str | OSError) -> None:
        asked, self._asked = self._asked, None
        if asked is not None:
            asked.set_result(found)
