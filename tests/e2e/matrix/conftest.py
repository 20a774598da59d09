"""What every row starts from: two releases in two warm slots, and clients of the live Service."""

from dataclasses import replace

import pytest

from tests.e2e.bench import Bench, prepare
from tests.e2e.machine import Machine
from tests.e2e.two_releases import api_key


@pytest.fixture(scope="session")
def prepared(machine: Machine) -> Bench:
    return prepare(machine)


@pytest.fixture
def bench(prepared: Bench) -> Bench:
    """With the key of now: a row may have exchanged it."""
    return replace(prepared, key=api_key(prepared.machine))
