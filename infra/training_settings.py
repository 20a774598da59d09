"""The configuration object `training`: a search in the cluster and retraining. Off unless asked for. Pure."""

from dataclasses import dataclass
from typing import Final

from infra.config_reader import NAME_RULE, Reader, Rule
from ml.training.plan import SAMPLERS, Sampler

MONTH_RULE: Final = Rule(pattern=r"[0-9]{4}-(0[1-9]|1[0-2])", words="a month, YYYY-MM", example="2013-06")
CRON_RULE: Final = Rule(
    pattern=r"([0-9*,/-]+ ){4}[0-9*,/-]+", words="a cron schedule of five fields", example="'17 3 * * *'"
)


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """What trains in the cluster."""

    study: str = ""
    """Name of the search; empty: none. Another name is another search, the same one goes on."""
    through: str = ""
    """Last month that it trains on; empty for a problem without time."""
    trials: int = 20
    minutes: int = 30
    workers: int = 2
    sampler: Sampler = "halton"
    retrain: str = ""
    """When a candidate is trained, in cron's five fields, UTC; empty: never."""
    retrain_on_drift: bool = False
    """Whether the alert DriftAlarm asks for a candidate, at most one in 24 hours."""

    @property
    def retrains(self) -> bool:
        """Whether anything may ask for a candidate."""
        return bool(self.retrain) or self.retrain_on_drift

    @property
    def enabled(self) -> bool:
        """Whether the stack needs the training image."""
        return bool(self.study) or self.retrains


def read(reader: Reader) -> TrainingSettings:
    """The settings of the object; its problems land in the reader's list."""
    default = TrainingSettings()
    found = TrainingSettings(
        study=reader.text("study", default.study, NAME_RULE),
        through=reader.text("through", default.through, MONTH_RULE),
        trials=reader.integer("trials", default.trials, low=1, high=10_000),
        minutes=reader.integer("minutes", default.minutes, low=1, high=7 * 24 * 60),
        workers=reader.integer("workers", default.workers, low=1, high=100),
        sampler=reader.choice("sampler", default.sampler, SAMPLERS),
        retrain=reader.text("retrain", default.retrain, CRON_RULE),
        retrain_on_drift=reader.flag("retrainOnDrift", default=default.retrain_on_drift),
    )
    reader.finish()
    return found
