"""Settings of every test: properties depend on no clock, and CI draws the same examples each time."""

import gc
import os

# Two workers share two cores: threads of one library would only wait for those of the other, for many times the work.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from ml.lean import FORMATS, without

with without(*FORMATS):
    import jsonschema  # noqa: F401  (tests import it too, and it would load helpers for two and a half seconds)

import pytest
from hypothesis import HealthCheck, settings

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


def pytest_collection_finish() -> None:
    """What has been imported lives until the end: the collector need not look at it again with every test."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def _stores(tmp_path_factory):
    """No test writes into the machine's own snapshots, dead letters or prepared rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLP_DATA_STORE", str(tmp_path_factory.mktemp("data-store")))
        patch.setenv("MLP_PREPARED", str(tmp_path_factory.mktemp("prepared")))
        yield
