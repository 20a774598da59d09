"""Something is done again and again in a thread while a block lasts; what goes wrong there is raised at its end."""

import threading
from typing import Self


class Watching:
    """A subclass says what is done by `look`, and how often by `EVERY_S`."""

    EVERY_S = 0.5
    PATIENCE_S = 60.0
    """For the last look to end."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._fault: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._over.set()
        self._thread.join(timeout=self.PATIENCE_S)
        if self._fault is not None and kind is None:  # the block's own failure says more
            raise self._fault

    def look(self) -> None:
        """Do it once."""
        raise NotImplementedError

    def _run(self) -> None:
        while not self._over.wait(self.EVERY_S):
            try:
                self.look()
            except BaseException as error:  # noqa: BLE001  (of another thread: raised where the block ends)
                self._fault = error
                return
