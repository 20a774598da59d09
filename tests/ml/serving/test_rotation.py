"""What the rotation of a key reads out of the server's own answers, and that asking predicts nothing."""

from typing import Any

import pytest

from ml.serving.app import App
from ml.stack import serving_pods
from tests.ml.serving.client import KEY, call, scrape


class Answering:
    """A pod that gave this answer."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    def post(self, *_asked: Any) -> bytes:
        return self.body


@pytest.mark.parametrize("body", [b"", b"null"])  # nothing, and what a client of JSON makes of it
@pytest.mark.parametrize(("key", "means"), [(KEY, "accepts"), ("no-key-of-it", "refuses"), ("", "refuses")])
async def test_a_request_without_a_body_tells_whether_the_key_is_known(
    iris: App, key: str, means: str, body: bytes
) -> None:
    answered = await call(iris, "POST", "/predict", body, key=key)

    assert serving_pods.answer(Answering(answered.body), "model-blue-1", key) == means


async def test_asking_predicts_nothing(iris: App) -> None:
    before = await scrape(iris)
    await call(iris, "POST", "/predict", b"")
    after = await scrape(iris)

    moved = {name for name, value in after.items() if name.startswith("ml_") and value != before.get(name)}
    assert moved
    assert {name.partition("{")[0] for name in moved} == {"ml_prediction_errors_total", "ml_requests_total"}
    assert not [name for name in moved if "5xx" in name]
