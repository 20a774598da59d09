"""A small problem for the tests of the data's own parts: one time, one number, one category."""

from dataclasses import replace

import pandera.pandas as pa

from ml.data.contract import Contract, columns
from ml.data.schema import Feature
from tests.ml.training import toy

COLOURS = ("blue", "green")


def problem(colours=COLOURS, zone=None):
    features = (
        Feature(name="heat", kind="number", minimum=-100, maximum=100, nullable=True),
        Feature(name="colour", kind="category", categories=colours),
    )
    schema = pa.DataFrameSchema({"when": pa.Column("datetime64[us]"), "hot": pa.Column(int), **columns(features)})
    contract = Contract(schema=schema, time="when", zone=zone, max_rejected_share=1.0)
    return replace(toy.problem(), features=features, contract=contract, key=("when",))


def lines(*rows):
    return "\n".join(["when,hot,heat,colour", *rows]) + "\n"
