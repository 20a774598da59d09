"""What the rows about records do: files with a fault, through the commands that a person types in the clone."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import rmtree
from subprocess import CompletedProcess
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ml.batch.run import predict_file
from ml.flights.problem import PROBLEM
from ml.serving.bundle import load
from ml.serving.model import Output
from tests.data.malformed import files, tables
from tests.data.malformed.case import Case
from tests.e2e.crafted import Trigger, craft, raises
from tests.e2e.machine import Machine
from tests.e2e.two_releases import FIRST
from tests.ml.release.signing import SIGNER

POISON: Final = Trigger(feature="pressure", value=1013.37)  # sensors tell tenths
CRAFTED: Final = "flights-0039"
NULLS: Final = tables.CASES["column-of-nulls"]
WELL_FORMED: Final = files.CASES["well-formed"]
SOME_REJECTED: Final = tables.CASES["illegal-null"]


def as_parquet(case: Case) -> Case:
    """The same rows as Parquet, where nothing is a text."""
    return replace(case, file="flights.parquet", write=lambda table, path: table.to_parquet(path))


def data(machine: Machine, word: str, file: Path, case: Case, store: Path) -> CompletedProcess[str]:
    """`mlp data validate` or `snapshot` of a case's file, with a store of its own."""
    command = ("mlp", "data", word, str(file), *case.options)
    return machine.run(*command, check=False, timeout_s=120, MLP_DATA_STORE=str(store))


def letters(store: Path) -> list[dict[str, Any]]:
    """The dead letters of `mlp data` in a store; the first line of the file holds counts."""
    (file,) = (store / "dead-letters" / PROBLEM.name).glob("letters-*.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()[1:]]


def flights(rows: int, poison: int | None = None) -> pa.Table:
    """Real flights with a key of their own; the one with this number has the value on which the model raises."""
    table = PROBLEM.load(None, None).head(rows).reset_index(drop=True)
    table["pressure"] = table["pressure"].astype(float)
    table["id"] = [f"flight-{number}" for number in range(1, rows + 1)]
    if poison is not None:
        table.loc[poison - 1, POISON.feature] = POISON.value
    names = [feature.name for feature in PROBLEM.features]
    return pa.Table.from_pandas(table[["id", *names]], preserve_index=False)


@contextmanager
def raising(machine: Machine) -> Iterator[Path]:
    """A release in the clone whose model raises on the poison, and answers everything else; gone afterwards.

    A batch asks whether a release's record is whole, not who signed it: a key that nobody trusts will do.
    """
    folder = machine.clone / "releases" / CRAFTED
    rmtree(folder, ignore_errors=True)
    try:
        yield craft(folder.with_name(FIRST), machine.clone, CRAFTED, (POISON, raises), SIGNER)
    finally:
        rmtree(folder, ignore_errors=True)


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """What a batch left."""

    ids: list[str]
    dead: list[dict[str, Any]]


def predicted(output: Path) -> Predicted:
    """Read it."""
    dead = output.with_name(f"{output.name}.dead.jsonl")
    lines = dead.read_text().splitlines() if dead.exists() else []
    return Predicted(ids=pq.read_table(output)["id"].to_pylist(), dead=[json.loads(line) for line in lines])


def tries(release: Path, source: Path, output: Path) -> int:
    """How often the model is given the poison when the file is predicted."""
    model = load(release, release.name).model
    column = [feature.name for feature in model.spec.features].index(POISON.feature)
    tried: list[int] = []

    honest = model.predict

    def counting(raw: NDArray[np.float32]) -> Output:
        tried.append(int((raw[:, column] == np.float32(POISON.value)).sum()))
        return honest(raw)

    model.predict = counting  # type: ignore[method-assign]
    predict_file(source, output, model)
    return sum(tried)
