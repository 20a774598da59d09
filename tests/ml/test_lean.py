"""What is left out of a library is left out of that import only."""

import json
import subprocess
import sys

import pytest

from ml.lean import without

LOADED = """
import json, sys
from ml.stack.library import kubernetes
library = kubernetes()
left_out = "jsonschema" not in sys.modules
import kubernetes_validate
print(json.dumps([left_out, library.client.V1Pod.__name__, callable(library.config.load_kube_config)]))
"""


def test_what_is_left_out_can_be_imported_afterwards() -> None:
    with without("wsgiref"), pytest.raises(ImportError):
        import wsgiref  # noqa: PLC0415

    import wsgiref  # noqa: PLC0415

    assert wsgiref.__name__ == "wsgiref"


def test_what_is_there_already_stays_there() -> None:
    with without("json"):
        assert sys.modules["json"] is json
    assert sys.modules["json"] is json


@pytest.mark.integration
def test_the_kubernetes_client_comes_whole_without_its_validation() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True, timeout=120)

    assert json.loads(done.stdout) == [True, "V1Pod", True]
