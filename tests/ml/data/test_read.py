import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.data import read as reading
from ml.data.read import Dialect, read
from tests.ml.data.small import lines, problem

WHOLE, CUT = "2013-06-01,1,5,blue", "2013-06-01,1"


@settings(max_examples=40)
@given(whole=st.lists(st.booleans(), min_size=1, max_size=60))
def test_rows_keep_their_numbers_wherever_lines_are_ragged_and_blocks_end(tmp_path_factory, whole):
    path = tmp_path_factory.mktemp("files") / "a.csv"
    path.write_text(lines(*(WHOLE if each else CUT for each in whole)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "BLOCK_BYTES", 64)
        chunks = list(read(path, problem().contract, ("when",), Dialect()))

    assert [row for chunk in chunks for row in chunk.table.index] == [n for n, each in enumerate(whole, 1) if each]
    assert [row.number for chunk in chunks for row in chunk.bad] == [n for n, each in enumerate(whole, 1) if not each]


def test_ragged_lines_are_handed_on_block_by_block(tmp_path):
    """Memory must not grow with the file, even where no line of it is whole."""
    path = tmp_path / "a.csv"
    path.write_text(lines(WHOLE, *[CUT] * 500, WHOLE))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "BLOCK_BYTES", 256)
        counts = [len(chunk.bad) for chunk in read(path, problem().contract, ("when",), Dialect())]

    assert sum(counts) == 500
    assert max(counts) < 100
