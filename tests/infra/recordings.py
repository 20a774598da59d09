"""Runs of the whole program that tests share."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from infra.delivery.contexts import SERVING_LOCK
from tests.infra.checkout import Checkout, whole_program
from tests.infra.engine import Deploy, Deployed

CUDA = "onnxruntime-gpu==1.32.0 \\\n    --hash=sha256:00\n"


class Recordings:
    """What the whole program registers with good releases in its slots, for tests that only read it.

    That depends on its arguments alone, so it runs once for all tests that ask for the same. Runs with the same
    releases stand in one checkout: nothing differs between them but what their configuration makes differ.
    """

    def __init__(self, new_folder: Callable[[], Path]) -> None:
        self._new_folder = new_folder
        self._checkouts: dict[Any, Checkout] = {}
        self._runs: dict[Any, Deployed] = {}

    def run(
        self,
        deploy: Deploy,
        *,
        blue: str | None = "flights-0001",
        green: str | None = None,
        cuda: bool = False,
        stack: str = "staging",
        preview: bool = False,
        **config: str,
    ) -> Deployed:
        """Run the program, or give what it registered before.

        Args:
            deploy: Runs it.
            blue: The release in that slot; None leaves it empty.
            green: The same.
            cuda: Whether the serving image's lock file has CUDA.
            stack: Name of the stack.
            preview: Whether outputs are unknown, as in `pulumi preview`.
            config: More of the stack's configuration, as text or JSON text.
        """
        key = (blue, green, cuda, stack, preview, *sorted(config.items()))
        if key not in self._runs:
            held = {slot: release for slot, release in (("blue", blue), ("green", green)) if release is not None}
            checkout = self._checkout(held, cuda=cuda)
            slots = json.dumps({slot: {"release": release} for slot, release in held.items()})
            with pytest.MonkeyPatch.context() as patch:
                checkout.stand_in(patch)
                done = deploy(whole_program, stack=stack, preview=preview, config={"slots": slots, **config})
            done.root = checkout.root
            self._runs[key] = done
        return self._runs[key]

    def _checkout(self, held: Mapping[str, str], *, cuda: bool) -> Checkout:
        key = (*held.items(), cuda)
        if key not in self._checkouts:
            checkout = Checkout(self._new_folder())
            for release in held.values():
                checkout.release(release)
            if cuda:
                with (checkout.root / SERVING_LOCK).open("a") as lock:
                    lock.write(CUDA)
            self._checkouts[key] = checkout
        return self._checkouts[key]
