from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ml.data import pin, snapshots, stores
from ml.data.systemic import Age, Freshness
from ml.errors import DataError
from ml.training import inputs as module
from ml.training.inputs import prepare
from tests.ml.training.toy import problem, table


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    monkeypatch.setenv("MLP_DATA_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("MLP_PREPARED", str(tmp_path / "prepared"))


def timely():
    plain = problem()
    return replace(plain, contract=replace(plain.contract, time="when", freshness=Freshness(max_age_days=40)))


def prepared(made, through="2013-01", seed=1):
    steps = []
    return prepare(made, through, seed=seed, progress=steps.append), steps


def test_a_second_preparation_of_the_same_is_read_and_equal():
    first, steps = prepared(timely())
    again, fewer = prepared(timely())

    assert "reuse the prepared rows of the same data and code" not in steps
    assert fewer == ["load made up", "reuse the prepared rows of the same data and code"]
    assert (again.ledger, again.age, again.snapshot_sha256) == (first.ledger, first.age, first.snapshot_sha256)
    assert isinstance(again.age, Age)
    for name in ("train_x", "test_x", "train_labels", "test_labels"):
        np.testing.assert_array_equal(getattr(again, name), getattr(first, name))
        assert getattr(again, name).dtype == getattr(first, name).dtype
    pd.testing.assert_frame_equal(again.parts.train, first.parts.train)
    pd.testing.assert_frame_equal(again.parts.test, first.parts.test)


@pytest.mark.parametrize("change", [{"made": problem(table(seed=1))}, {"through": "2013-02"}, {"seed": 2}])
def test_other_data_months_or_seeds_are_prepared_anew(change):
    prepared(problem())
    _, steps = prepared(**{"made": problem(), **change})

    assert "check for leaks" in steps


def test_a_damaged_entry_is_prepared_anew():
    prepared(problem())
    entry = next(stores.prepared().glob("*.entry"))
    raw = bytearray(entry.read_bytes())
    raw[len(raw) // 2] ^= 1
    entry.write_bytes(raw)

    assert "check for leaks" in prepared(problem())[1]


def test_what_was_read_is_in_the_store_before_anything_is_made_of_it(monkeypatch):
    seen = []
    monkeypatch.setattr(module, "_checked", lambda *args: seen.append(list(stores.snapshots().iterdir())) or 1 / 0)

    with pytest.raises(ZeroDivisionError):
        prepared(problem())
    assert [len(files) for files in seen] == [1]


def test_a_pinned_training_reads_the_snapshot_and_not_the_source():
    made, _ = prepared(problem())
    moved = problem(table(seed=9))

    again, _ = prepared(pin.pinned(moved, made.snapshot_sha256, stores.snapshots()))

    assert again.snapshot_sha256 == made.snapshot_sha256
    np.testing.assert_array_equal(again.train_x, made.train_x)
    assert again.stored() == {"sha256": made.snapshot_sha256, "rows": 120}


def test_a_snapshot_lost_or_changed_during_the_training_is_stated():
    made, _ = prepared(problem())
    path = stores.snapshots() / f"{made.snapshot_sha256}.parquet"
    other, elsewhere = snapshots.write(table().head(5), stores.snapshots(), source="x")
    path.chmod(0o644)
    path.write_bytes(elsewhere.read_bytes())
    changed = made.stored()
    path.unlink()

    assert changed == {"sha256": other, "rows": 120}
    assert made.stored() is None


def test_a_pin_to_nothing_is_refused():
    with pytest.raises(DataError, match="ML-DATA-012"):
        pin.pinned(problem(), "0" * 64, stores.snapshots())


def test_what_files_lost_before_they_became_a_snapshot_is_in_the_ledger():
    earlier = {"total": 185, "accepted": 180, "dropped": {"duplicate": 2}, "rejected": {"ragged_row": 3}}
    name, _ = snapshots.write(table(), stores.snapshots(), source="a.csv", ledger=earlier)

    made, _ = prepared(pin.pinned(problem(), name, stores.snapshots()))

    assert made.ledger.to_json() == {
        "total": 125,
        "accepted": 120,
        "dropped": {"duplicate": 2},
        "rejected": {"ragged_row": 3},
    }
