"""Files that are damaged, or written in another way than expected: encodings, shapes, formats."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tests.data.malformed.case import TOTAL, Case, as_csv, cells, csv, flown

TOLD = ("--as-of", "2013-08-01", "--encoding")
UNREAD = {"total": None, "unlabelled": (0, 0)}


def _lines(change):
    def content(table):
        lines = csv(table).splitlines()
        return ("\n".join(change(lines)) + "\n").encode()

    return content


def _cut(rows, fields):
    """The first so many rows of data with fewer or more fields."""

    def change(lines):
        head, body = lines[0], lines[1:]
        short = [",".join([*line.split(","), "x", "y"][:fields]) for line in body[:rows]]
        return [head, *short, *body[rows:]]

    return _lines(change)


def _truncated(table: pd.DataFrame, path: Path) -> None:
    table.to_parquet(path)
    path.write_bytes(path.read_bytes()[:-2000])


def _flipped(table: pd.DataFrame, path: Path) -> None:
    pq.write_table(pa.Table.from_pandas(table), path, write_page_checksum=True, compression="none")
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 3] ^= 0x40
    path.write_bytes(raw)


def _lists(table: pd.DataFrame, path: Path) -> None:
    table.assign(temp=[[value] for value in table["temp"]]).to_parquet(path)


def _latin(table: pd.DataFrame) -> bytes:
    return csv(cells("status", "annulé", 1)(table)).encode("latin-1")


CASES = {
    "well-formed": Case(words="nothing: the control", same=True),
    "bom": Case(words="begins with a UTF-8 byte order mark", content=lambda t: b"\xef\xbb\xbf" + as_csv(t), same=True),
    "crlf": Case(words="Windows line ends", content=lambda t: as_csv(t).replace(b"\n", b"\r\n"), same=True),
    "blank-lines": Case(
        words="an empty line after each row", content=lambda t: as_csv(t).replace(b"\n", b"\n\n"), same=True
    ),
    "utf-16": Case(words="UTF-16, not said", content=lambda t: csv(t).encode("utf-16"), code="ML-DATA-008", **UNREAD),
    "utf-16-said": Case(
        words="UTF-16, with `--encoding`",
        content=lambda t: csv(t).encode("utf-16"),
        options=(*TOLD, "utf-16"),
        same=True,
    ),
    "latin-1": Case(words="Latin-1, not said", content=_latin, code="ML-DATA-008", **UNREAD),
    "latin-1-said": Case(
        words="Latin-1, with `--encoding`",
        content=_latin,
        options=(*TOLD, "latin-1"),
        rejected={"status:unknown_status": 1},
    ),
    "not-utf-16": Case(words="UTF-8, said to be UTF-16", options=(*TOLD, "utf-16"), code="ML-DATA-008", **UNREAD),
    "zero-bytes": Case(
        words="zero bytes in the header", content=lambda t: b"\x00" * 64 + as_csv(t), code="ML-DATA-008", **UNREAD
    ),
    "binary": Case(
        words="no text at all", content=lambda _t: np.random.default_rng(1).bytes(4096), code="ML-DATA-008", **UNREAD
    ),
    "json": Case(words="JSON named .csv", content=lambda _t: b'[{"departure": 1}]', code="ML-DATA-001", **UNREAD),
    "empty": Case(words="0 bytes", content=lambda _t: b"", code="ML-DATA-002", **UNREAD),
    "header-only": Case(words="a header and no row", table=lambda t: t.head(0), code="ML-DATA-002", **UNREAD),
    "one-row": Case(words="a single row", table=lambda t: t.loc[flown(t, 1)], options=(), total=1, unlabelled=(0, 0)),
    "no-header": Case(
        words="no header", content=lambda t: t.to_csv(index=False, header=False).encode(), code="ML-DATA-001", **UNREAD
    ),
    "missing-column": Case(
        words="`temp` and `visib` lack", table=lambda t: t.drop(columns=["temp", "visib"]), code="ML-DATA-001", **UNREAD
    ),
    "renamed-column": Case(
        words="`Temp` for `temp`", table=lambda t: t.rename(columns={"temp": "Temp"}), code="ML-DATA-001", **UNREAD
    ),
    "double-column": Case(
        words="two columns named `temp`",
        content=lambda t: csv(t.assign(other=t["temp"])).replace(",other\n", ",temp\n", 1).encode(),
        code="ML-DATA-007",
        **UNREAD,
    ),
    "extra-column": Case(words="a column more", table=lambda t: t.assign(note="=1+1"), same=True),
    "other-order": Case(
        words="columns and rows in another order",
        table=lambda t: t[sorted(t)].sample(frac=1, random_state=3),
        same=True,
    ),
    "semicolons": Case(
        words="semicolons for commas", content=lambda t: t.to_csv(index=False, sep=";").encode(), same=True
    ),
    "tabs": Case(words="tabs for commas", content=lambda t: t.to_csv(index=False, sep="\t").encode(), same=True),
    "decimal-commas": Case(
        words="decimal commas",
        content=lambda t: t.to_csv(index=False, sep=";", decimal=",").encode(),
        code="ML-DATA-004",
        unlabelled=(0, 0),
        rejected={"dewp:wrong_type": 2298, "distance:wrong_type": 2},
    ),
    "short-rows": Case(words="5 rows that end early", content=_cut(5, 12), rejected={"ragged_row": 5}),
    "long-rows": Case(words="5 rows with a field too many", content=_cut(5, 21), rejected={"ragged_row": 5}),
    "half-ragged": Case(
        words="half of the rows end early",
        content=_cut(1150, 12),
        code="ML-DATA-004",
        unlabelled=(43, 7),
        rejected={"ragged_row": 1150},
    ),
    "trailing-commas": Case(
        words="a comma at the end of each row",
        content=_lines(lambda lines: [lines[0], *(f"{line}," for line in lines[1:])]),
        code="ML-DATA-004",
        unlabelled=(0, 0),
        rejected={"ragged_row": TOTAL},
    ),
    "open-quote": Case(
        words="a quote that never closes, in row 2000",
        code="ML-DATA-006",
        **UNREAD,
        content=_lines(lambda lines: [*lines[:2000], '"' + lines[2000], *lines[2001:]]),
    ),
    "repeated-header": Case(
        words="two exports in one file, each with its header",
        content=_lines(lambda lines: [*lines[:1001], lines[0], *lines[1001:]]),
        total=TOTAL + 1,
        same=True,
        rejected={"departure:wrong_type": 1},
    ),
    "quoted-newline": Case(
        words="a line break inside a cell", table=cells("status", "fl\nown", 1), rejected={"status:unknown_status": 1}
    ),
    "huge-cell": Case(
        words="a cell of 20 MiB", table=cells("status", "x" * (20 * 2**20), 1), code="ML-DATA-006", **UNREAD
    ),
    "cut-gzip": Case(
        words="a gzip file cut short",
        file="flights.csv.gz",
        content=lambda t: gzip.compress(as_csv(t))[:-5000],
        code="ML-DATA-006",
        **UNREAD,
    ),
    "gzip": Case(
        words="a whole gzip file", file="flights.csv.gz", content=lambda t: gzip.compress(as_csv(t)), same=True
    ),
    "cut-parquet": Case(
        words="a Parquet file cut short", file="flights.parquet", write=_truncated, code="ML-DATA-006", **UNREAD
    ),
    "flipped-parquet": Case(
        words="one flipped bit in a Parquet page", file="flights.parquet", write=_flipped, code="ML-DATA-006", **UNREAD
    ),
    "text-parquet": Case(
        words="Parquet with every number as text",
        file="flights.parquet",
        write=lambda t, p: t.astype(str).to_parquet(p),
        same=True,
    ),
    "narrow-parquet": Case(
        words="Parquet with 16-bit integers",
        file="flights.parquet",
        write=lambda t, p: t.astype({"flight": "int16"}).to_parquet(p),
        same=True,
    ),
    "lists-in-parquet": Case(
        words="a Parquet column of lists", file="flights.parquet", write=_lists, code="ML-DATA-006", **UNREAD
    ),
    "unknown-format": Case(words="a spreadsheet", file="flights.xlsx", code="ML-DATA-006", **UNREAD),
    "no-file": Case(words="a file that is not there", write=lambda _t, _p: None, code="ML-DATA-006", **UNREAD),
}
