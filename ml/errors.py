"""The errors a person sees: one base class, one subclass for each person who has to act.

Standard library only, because the bootstrap imports it before any package is installed.
"""


class PipelineError(Exception):
    """A failure that says what went wrong, the value, the rule and the next command.

    Args:
        code: Stable identifier such as `ML-GATE-003`; documented in `docs/errors.md`.
        message: One line: object, value and rule.
        fix: The next command or edit that helps; empty when there is none.
    """

    exit_code = 1

    def __init__(self, code: str, message: str, fix: str = "") -> None:
        super().__init__(f"{code}: {message}" + (f"\n  Fix: {fix}" if fix else ""))
        self.code = code
        self.message = message
        self.fix = fix


class UsageError(PipelineError):
    """The command was called with something it cannot take."""

    exit_code = 2


class GateError(PipelineError):
    """The evidence does not allow the step: a verdict that is not pass, a record that does not verify."""

    exit_code = 3


class DataError(PipelineError):
    """The data break the contract."""

    exit_code = 4


class ConfigError(PipelineError):
    """A stack's configuration is incomplete or contradicts itself."""

    exit_code = 5


class SurroundingsError(PipelineError):
    """The machine or the cluster lacks something: rights, a tool, a port, space, a passphrase."""

    exit_code = 6


class TransientError(PipelineError):
    """A dependency did not answer in time; the same command may succeed later."""

    exit_code = 7
