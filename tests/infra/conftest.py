"""The one way to test a program part: `deploy(build)` runs it against recording mocks and returns what it made."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pulumi.runtime.proto import source_pb2

from tests.infra.checkout import Checkout, whole_program
from tests.infra.engine import Deploy, Deployed
from tests.infra.recordings import Recordings


@pytest.fixture
def deploy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Deploy]:
    """See `Deploy`. One loop and one worker thread, both closed afterwards, so that nothing leaks between tests."""
    # Where in the program a resource was made is for the engine's messages; finding out takes a quarter of a test.
    monkeypatch.setattr("pulumi.runtime.resource._get_stack_trace", source_pb2.StackTrace)
    loop, worker_loop = asyncio.new_event_loop(), asyncio.new_event_loop()
    executor = ThreadPoolExecutor(1, initializer=asyncio.set_event_loop, initargs=(worker_loop,))
    loop.set_default_executor(executor)
    asyncio.set_event_loop(loop)
    yield Deploy()
    executor.shutdown()
    asyncio.set_event_loop(None)
    worker_loop.close()
    loop.close()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    """See `Checkout`."""
    found = Checkout(tmp_path)
    found.stand_in(monkeypatch)
    return found


@pytest.fixture
def program(checkout: Checkout, deploy: Deploy) -> Callable[..., Deployed]:
    """Run the whole program of `checkout` as `pulumi up` would; arguments are those of `deploy`."""

    def run(**arguments: Any) -> Deployed:
        return deploy(whole_program, **arguments)

    return run


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Recordings:
    """See `Recordings`."""
    return Recordings(lambda: tmp_path_factory.mktemp("checkout"))


@pytest.fixture
def recorded(deploy: Deploy, recordings: Recordings) -> Callable[..., Deployed]:
    """See `Recordings.run`."""
    return partial(recordings.run, deploy)
