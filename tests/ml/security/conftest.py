from pathlib import Path

import pytest

from tests.ml.security.checkout import write_checkout


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A small checkout."""
    return write_checkout(tmp_path)
