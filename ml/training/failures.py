"""Which failures of a trial are worth another try. Pure."""

from typing import Literal

from ml.errors import PipelineError, TransientError

Kind = Literal["transient", "permanent"]

MAX_ATTEMPTS = 3  # of one trial; a trial that kills its worker three times (out of memory, say) is not tried again
LOST = "worker lost"
DUPLICATE = "duplicate"

# The surroundings' fault: memory, files, connections. Everything else the same code would raise again.
_TRANSIENT = (TransientError, MemoryError, OSError, TimeoutError)


class InterruptedTrialError(TransientError):
    """The worker was asked to stop while a trial ran."""

    def __init__(self) -> None:
        super().__init__("ML-TRAIN-011", "the worker was asked to stop", "start it again: the search goes on")


def kind_of(error: BaseException) -> Kind:
    """Transient: the same trial may succeed elsewhere or later. Permanent: it would fail again."""
    return "transient" if isinstance(error, _TRANSIENT) else "permanent"


def concerns_one_trial(error: Exception) -> bool:
    """False for our own errors, which say that the data or the problem are at fault, so every trial would fail."""
    return not isinstance(error, PipelineError) or isinstance(error, TransientError)


def words(error: BaseException, limit: int = 200) -> str:
    """One line for the ledger."""
    text = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
    return text if len(text) <= limit else f"{text[:limit]}…"
