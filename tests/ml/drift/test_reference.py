import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from ml.data.schema import Feature
from ml.drift.compare import compare
from ml.drift.reference import Reference, load, matrix_columns, prepare_columns, save
from ml.errors import DataError

FEATURES = (
    Feature(name="a", kind="number"),
    Feature(name="b", kind="number", drift="watch"),
    Feature(name="c", kind="number", drift="ignore"),
    Feature(name="d", kind="category", categories=("x", "y", "z")),
)


def columns(rows: int = 4000, seed: int = 1, shift: float = 0.0) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    b = random.normal(shift, size=rows).astype(np.float32)
    b[: rows // 10] = np.nan
    codes = random.choice([-1, 0, 1], rows, p=[0.1, 0.5, 0.4]).astype(np.float32)
    return {"a": random.normal(shift, size=rows).astype(np.float32), "b": b, "c": b, "d": codes}


def prepared(*, keep: bool = False) -> Reference:
    return prepare_columns(FEATURES, columns(), {"rows": 4000}, keep=keep)


@pytest.mark.parametrize("keep", [False, True])
def test_what_was_saved_gives_the_same_answers_without_the_rows(tmp_path: Path, *, keep: bool) -> None:
    reference = prepared(keep=keep)
    save(reference, tmp_path / "reference")

    read = load(tmp_path / "reference")

    new = columns(3000, seed=2, shift=0.1)
    assert compare(read, new) == compare(reference, new)
    assert read.about == {"rows": 4000}
    assert read.features == reference.features


def test_saving_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        save(prepared(keep=True), tmp_path / name)

    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_the_grid_is_small(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    save(prepare_columns([FEATURES[0]], {"a": random.normal(size=200_000)}, {}), tmp_path)

    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 60_000


@pytest.mark.parametrize("name", ["reference.json", "grid.npy", "counts.npy", "values.npy"])
def test_one_changed_byte_is_refused(tmp_path: Path, name: str) -> None:
    save(prepared(keep=True), tmp_path)
    content = bytearray((tmp_path / name).read_bytes())
    content[-3] ^= 1
    (tmp_path / name).write_bytes(bytes(content))

    with pytest.raises(DataError, match="no prepared reference") as refused:
        load(tmp_path)
    assert refused.value.code == "ML-DRIFT-005"


@pytest.mark.parametrize("name", ["reference.json", "grid.npy"])
def test_a_file_that_is_gone_is_refused(tmp_path: Path, name: str) -> None:
    save(prepared(), tmp_path)
    (tmp_path / name).unlink()

    with pytest.raises(DataError, match="cannot be read"):
        load(tmp_path)


def test_a_manifest_that_promises_more_than_there_is_is_refused(tmp_path: Path) -> None:
    save(prepared(), tmp_path)
    manifest = json.loads((tmp_path / "reference.json").read_text())
    manifest["features"][0]["edges"] += 10_000
    (tmp_path / "reference.json").write_text(json.dumps(manifest))

    with pytest.raises(DataError, match="changed"):
        load(tmp_path)


def test_every_statistic_of_a_feature_stands_in_the_result() -> None:
    new = columns(3000, seed=2, shift=0.1)
    found = compare(prepared(keep=True), new)

    assert set(found) == {"a", "b", "d"}
    old = columns()["a"]
    assert found["a"] == {
        "role": "gate", "kind": "number", "n_reference": 4000, "n_current": 3000,
        "missing_reference": 0, "missing_current": 0,
        "d": pytest.approx(stats.ks_2samp(old, new["a"], method="asymp").statistic, abs=1e-9),
        "p": pytest.approx(stats.ks_2samp(old, new["a"], method="asymp").pvalue, abs=1e-9),
        "psi": pytest.approx(0.02, abs=0.01),
        "wasserstein": pytest.approx(stats.wasserstein_distance(old, new["a"]) / old.astype(float).std(), abs=1e-9),
    }  # fmt: skip
    assert (found["b"]["missing_reference"], found["b"]["missing_current"]) == (400, 300)
    assert found["b"]["missing_p"] == pytest.approx(1)
    assert found["d"]["kind"] == "category"
    assert (found["d"]["n_reference"], found["d"]["n_current"], found["d"]["unseen"]) == (4000, 3000, 0)


def test_a_category_that_the_reference_never_had_is_counted() -> None:
    new = columns(1000)
    new["d"][:50] = 2

    found = compare(prepared(), new)["d"]

    assert found["unseen"] == 50
    assert found["p"] < 1e-9


def test_without_values_there_is_nothing_to_say() -> None:
    gone = {**columns(1000), "a": np.full(1000, np.nan, dtype=np.float32)}
    found = compare(prepared(), gone)["a"]

    assert (found["d"], found["p"], found["psi"], found["wasserstein"]) == (None, None, None, None)
    assert found["missing_p"] < 1e-9


def test_a_constant_column_has_no_spread_to_measure_in() -> None:
    constant = prepare_columns([FEATURES[0]], {"a": np.ones(600)}, {})

    found = compare(constant, {"a": np.full(600, 2.0)})["a"]

    assert found["wasserstein"] is None
    assert found["d"] == 1


def test_the_thinned_grid_states_its_error() -> None:
    found = compare(prepare_columns(FEATURES, columns(), {}, resolution=40), columns(3000, seed=2))["a"]

    assert 0 < found["d_error"] < 0.1
    assert 0 < found["wasserstein_error"] < 0.3


def test_rows_become_columns_by_name() -> None:
    rows = np.arange(8, dtype=np.float32).reshape(2, 4)

    assert matrix_columns(FEATURES, rows)["b"].tolist() == [1, 5]
