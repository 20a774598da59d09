"""Plugins end with their engine. One that is killed cannot tell them, and they would wait for its calls for ever."""

import os
import signal
import threading
import time
from typing import Final

INTERVAL_S: Final = 1.0


def end_with_engine() -> None:
    """From now on, this process gets SIGTERM once the process that started it is gone."""
    engine = os.getppid()

    def watch() -> None:
        while os.getppid() == engine:
            time.sleep(INTERVAL_S)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="end-with-engine", daemon=True).start()
