"""A file that a reader sees whole or not at all, when the disk has no room for it."""

from pathlib import Path

import pytest

from ml.data.atomic import AtomicFile


def test_a_full_disk_is_told_and_nothing_is_left_on_it(tmp_path: Path) -> None:
    file = AtomicFile(tmp_path / "letters")
    assert [path.suffix for path in tmp_path.iterdir()] == [".tmp"]
    file.handle.close()
    file.handle = Path("/dev/full").open("wb")  # noqa: SIM115  (leaving the context closes it)
    file.handle.write(b"more than there is room for")

    with pytest.raises(OSError, match="No space left"):
        file.__exit__(None, None, None)
    assert not list(tmp_path.iterdir())
