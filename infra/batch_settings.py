"""The configuration object `batch`: a file predicted over shards, and the volume that it lies on. Pure."""

from dataclasses import dataclass
from typing import Final

from infra.config_reader import DNS_LABEL, NAME_RULE, Reader, Rule
from ml.batch.shards import FORMATS, Format

_PART: Final = r"[A-Za-z0-9_][A-Za-z0-9._-]*"
PATH_RULE: Final = Rule(
    pattern=rf"{_PART}(/{_PART})*", words="a path within the volume, without .. or a / before it", example="june"
)
INPUT_RULE: Final = Rule(
    pattern=rf"{PATH_RULE.pattern}(\.csv|\.csv\.gz|\.parquet)",
    words="a path within the volume that ends in .csv, .csv.gz or .parquet",
    example="june.parquet",
)
KEEP_RULE: Final = Rule(
    pattern=r"[^,\s][^,]*(,[^,\s][^,]*)*", words="names of columns, separated by commas", example="id"
)
CLAIM_RULE: Final = Rule(pattern=DNS_LABEL, words="the name of a PersistentVolumeClaim", example="batch-data")
VOLUME_RULE: Final = Rule(pattern=r"[1-9][0-9]{0,8}(Mi|Gi|Ti)", words="a size such as 5Gi", example="5Gi")


@dataclass(frozen=True, kw_only=True)
class BatchSettings:
    """What is predicted in the cluster."""

    run: str = ""
    """Its name; empty: none. Another name is another run, the same one goes on."""
    input: str = ""
    """A file on the volume."""
    output: str = ""
    """A folder on the volume; empty: the run's name."""
    shards: int = 4
    parallelism: int = 2
    """Shards at a time."""
    format: Format = "parquet"
    keep: str = ""
    """Input columns to copy, such as a key."""
    max_dead_share: float = 0.1
    """Of all rows; above it the run fails and has no summary."""
    minutes: int = 60
    """No longer than this and ten minutes for the images, waiting for the input included."""
    claim: str = ""
    """A PersistentVolumeClaim of the namespace that is there already; empty: the stack's own, of `size`."""
    size: str = ""
    """Of the stack's own volume, which is there as long as this is set; empty: none."""

    @property
    def enabled(self) -> bool:
        """Whether the stack has anything to do with batch prediction."""
        return bool(self.run or self.size)

    @property
    def folder(self) -> str:
        """Where the run's parts go, within the volume."""
        return self.output or self.run


def read(reader: Reader) -> BatchSettings:
    """The settings of the object; its problems land in the reader's list."""
    default = BatchSettings()
    found = BatchSettings(
        run=reader.text("run", default.run, NAME_RULE),
        input=reader.text("input", default.input, INPUT_RULE),
        output=reader.text("output", default.output, PATH_RULE),
        shards=reader.integer("shards", default.shards, low=1, high=1000),
        parallelism=reader.integer("parallelism", default.parallelism, low=1, high=100),
        format=reader.choice("format", default.format, FORMATS),
        keep=reader.text("keep", default.keep, KEEP_RULE),
        max_dead_share=reader.number("maxDeadShare", default.max_dead_share, low=0, high=1),
        minutes=reader.integer("minutes", default.minutes, low=1, high=7 * 24 * 60),
        claim=reader.text("claim", default.claim, CLAIM_RULE),
        size=reader.text("size", default.size, VOLUME_RULE),
    )
    if found.run and not found.input:
        reader.problem("input", None, f"given for a run: {INPUT_RULE.words}", INPUT_RULE.example)
    if found.run and bool(found.claim) == bool(found.size):
        got = f"claim {found.claim!r} and size {found.size!r}"
        reader.problem("size", got, "one of the two: size makes a volume, claim names one that is there", "5Gi")
    reader.finish()
    return found
