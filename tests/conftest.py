"""Settings of every test: properties depend on no clock, and CI draws the same examples each time."""

import gc
import os
from collections.abc import Generator

# Two workers share two cores: threads of one library would only wait for those of the other, for many times the work.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from ml.lean import FORMATS, without

with without(*FORMATS):
    import jsonschema  # noqa: F401  (tests import it too, and it would load helpers for two and a half seconds)

import pytest
from hypothesis import HealthCheck, settings

# Tests make much garbage that lives a moment: by default the collector looks for cycles after every 700 objects of it.
gc.set_threshold(20_000, 10, 10)

# Runs of the whole program, and what is known of every file of the tree.
SHARING = ("tests/infra/", "tests/meta/")

settings.register_profile(
    "pipeline",
    deadline=None,
    # Few here, where the fast tests wait for them; `make properties` draws as many as a night allows.
    max_examples=int(os.environ.get("MLP_EXAMPLES", "50")),
    # Slow generation is a loaded machine here, not a bad strategy.
    suppress_health_check=[HealthCheck.too_slow],
    # A person's runs explore; CI must not fail for a draw that the change has nothing to do with.
    derandomize=bool(os.environ.get("CI")),
)
settings.load_profile("pipeline")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is imported lives until the end: the collector need not look for garbage in it, now or with every test."""
    gc.disable()  # a quarter of the time that collecting takes
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(optionalhook=True)  # of a plugin that is not always loaded
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """With `--dist loadfile`, files that share what takes longest share a worker as well."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling  # noqa: PLC0415  (see above)

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            scope = super()._split_scope(nodeid)
            return next((folder for folder in SHARING if scope.startswith(folder)), scope)

    return Scheduling(config, log)


@pytest.fixture(autouse=True, scope="session")
def _stores(tmp_path_factory):
    """No test writes into the machine's own snapshots, dead letters or prepared rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLP_DATA_STORE", str(tmp_path_factory.mktemp("data-store")))
        patch.setenv("MLP_PREPARED", str(tmp_path_factory.mktemp("prepared")))
        yield
