"""`python3 -m ml.serving`: load the release, prove it, serve it."""

import gc
import logging
import os
import signal
import sys
import time
from types import FrameType

from ml.errors import PipelineError
from ml.serving.app import App
from ml.serving.bundle import load
from ml.serving.keys import KeyRing
from ml.serving.log import configure, event
from ml.serving.payloads import open_log
from ml.serving.server import listen, run
from ml.serving.settings import from_environment
from ml.serving.shadow import open_shadow

logger = logging.getLogger("ml.serving")


def main() -> int:
    """Run the server; the exit code is the error's, 0 after a graceful stop."""
    started = time.perf_counter()
    configure()
    signal.signal(signal.SIGTERM, _exit)  # as process 1 of a container, without a handler SIGTERM would be ignored
    try:
        settings = from_environment(os.environ)
        event(logger, logging.INFO, "starting", release=settings.model_version, model_dir=settings.model_dir)
        keys = None if settings.api_keys_file is None else KeyRing(settings.api_keys_file)
        bundle = load(settings.model_dir, settings.model_version, settings.provider)
        app = App(
            bundle,
            keys=keys,
            load=settings.load,
            monitoring_endpoint=settings.monitoring_endpoint,
            payloads=open_log(settings.payloads, bundle.model.spec.features, bundle.release),
            shadow=open_shadow(settings.shadow, bundle.model.spec, bundle.release),
        )
        listener = listen(settings)
    except PipelineError as error:
        event(logger, logging.ERROR, "refused", code=error.code, reason=error.message, fix=error.fix)
        return error.exit_code
    gc.collect()
    gc.freeze()  # what the release holds stays; the collector need not walk it again
    event(
        logger,
        logging.INFO,
        "ready",
        release=bundle.release,
        digest=bundle.record["digest"],
        address=f"{settings.host}:{settings.port}",
        keys=keys is not None,
        nodes=dict(bundle.model.nodes),
        monitoring_endpoint=settings.monitoring_endpoint,
        seconds=round(time.perf_counter() - started, 3),
    )
    run(app, settings, listener)
    return 0


def _exit(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    sys.exit(main())
