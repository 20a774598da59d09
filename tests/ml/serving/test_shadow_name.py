"""Looking a name up: shared, bounded, and never waited for at the end."""

import asyncio
import socket
import threading
from typing import Any

import pytest

from ml.serving.shadow_name import HostName


async def test_an_address_is_found_and_one_that_is_an_address_is_itself() -> None:
    assert await HostName("127.0.0.1").address() == "127.0.0.1"
    assert await HostName("localhost").address() in ("127.0.0.1", "::1")


@pytest.mark.parametrize("name", ["no-such-host.invalid", "x" * 100, "a..b"])
async def test_a_name_without_an_address_is_an_error_of_the_system(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name.endswith(".invalid"):
        monkeypatch.setattr(socket, "getaddrinfo", _unknown)
    with pytest.raises(OSError, match=r"."):
        await HostName(name).address()


def _unknown(*_: Any, **__: Any) -> Any:
    raise socket.gaierror(-2, "Name or service not known")


async def test_a_silent_name_server_keeps_one_thread_and_those_who_give_up_do_not_end_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer, asked = threading.Event(), []

    def slow(*arguments: Any, **_: Any) -> Any:
        asked.append((arguments[0], threading.current_thread().daemon))
        answer.wait(10)
        return [(0, 0, 0, "", ("127.0.0.9", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    host = HostName("model-preview")
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await host.address()

    waiting = asyncio.create_task(host.address())
    await asyncio.sleep(0)
    answer.set()

    assert await waiting == "127.0.0.9"
    assert asked == [("model-preview", True)]  # a daemon: the process ends without it
    assert await host.address() == "127.0.0.9"
    assert len(asked) == 2  # asked anew: a Service may be made again
