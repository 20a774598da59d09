import pytest

from ml.serving.bundle import Bundle, load
from tests.ml.serving.releases import make_release


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    directory = tmp_path_factory.mktemp("release")
    return load(directory, make_release(directory, "binary"))
