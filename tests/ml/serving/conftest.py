import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from ml.serving.app import App, Load
from ml.serving.bundle import Bundle, load
from ml.serving.keys import KeyRing
from tests.ml.serving.client import KEY
from tests.ml.serving.releases import make_release

MakeApp = Callable[..., App]


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(hashlib.sha256(KEY.encode()).hexdigest() + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def bundle_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Bundle]:
    """A release of each kind, loaded and warmed once: an app changes nothing about it."""

    @cache
    def of(kind: str) -> Bundle:
        directory = tmp_path_factory.mktemp("release")
        return load(directory, make_release(directory, kind))

    return of


@pytest.fixture
def make_app(tmp_path: Path, keys_file: Path, bundle_of: Callable[[str], Bundle]) -> MakeApp:
    def make(kind: str = "multiclass", *, keys: bool = True, max_waiting: int = 64, **changes: Any) -> App:
        folder = tmp_path / kind
        bundle = load(folder, make_release(folder, kind, **changes)) if changes else bundle_of(kind)
        ring = KeyRing(keys_file) if keys else None
        return App(bundle, keys=ring, load=Load(max_waiting=max_waiting), monitoring_endpoint="http://prometheus:9090")

    return make


@pytest.fixture
def iris(make_app: MakeApp) -> App:
    return make_app("multiclass")


@pytest.fixture
def delay(make_app: MakeApp) -> App:
    return make_app("binary")
