"""What new rows are compared with: the columns of the reference, prepared once. Kept in a folder, never the rows.

Stored are, for a number, the grid of `ml.drift.number`; for a category its counts. With `keep` each number's sorted
values stand beside the grid and answers are exact; without, every distance states by how much it can be too small.
Reading and writing are the only effects here; a folder whose content does not fit its manifest is refused.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.data.schema import Feature
from ml.drift.category import CategoryReference, counts
from ml.drift.number import RESOLUTION, NumberReference, prepare
from ml.errors import DataError

SCHEMA = "ml-pipeline/drift-reference/v1"
MANIFEST = "reference.json"
_ARRAYS = ("grid", "counts", "values")
Column = NDArray[np.floating]


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Prepared columns by feature, in the order of `features`; `about` says which rows they are."""

    features: tuple[Feature, ...]
    columns: Mapping[str, NumberReference | CategoryReference]
    about: Mapping[str, Any]


def prepare_columns(
    features: Sequence[Feature],
    columns: Mapping[str, Column],
    about: Mapping[str, Any],
    *,
    resolution: int = RESOLUTION,
    keep: bool = False,
) -> Reference:
    """Prepare every feature that is not marked `ignore`.

    Args:
        features: The model's inputs.
        columns: Encoded values by feature name, shape (n_rows,): NaN for a missing number, a category as its code.
        about: Which rows these are; stands in the record as it is.
        resolution: Points of the grid of a number.
        keep: The sorted values too, for exact distances.
    """
    measured = tuple(feature for feature in features if feature.drift != "ignore")
    prepared: dict[str, NumberReference | CategoryReference] = {}
    for feature in measured:
        column = columns[feature.name]
        if feature.kind == "number":
            prepared[feature.name] = prepare(column, resolution=resolution, keep=keep)
        else:
            found = counts(feature.categories, column)
            prepared[feature.name] = CategoryReference(categories=feature.categories, counts=found)
    return Reference(features=measured, columns=prepared, about=dict(about))


def save(reference: Reference, folder: Path) -> None:
    """Write the reference; the manifest last, so that a half-written folder is none."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in _ARRAYS}
    entries = [_entry(feature, reference.columns[feature.name], parts) for feature in reference.features]
    files = {}
    for name, arrays in parts.items():
        path = folder / f"{name}.npy"
        np.save(path, np.concatenate(arrays) if arrays else np.zeros(0))
        files[path.name] = _sha256(path)
    manifest = {"schema": SCHEMA, "about": reference.about, "features": entries, "files": files}
    manifest["digest"] = _digest(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest, sort_keys=True, indent=1) + "\n", encoding="utf-8")


def load(folder: Path) -> Reference:
    """Read a reference that `save` wrote and prove that it is unchanged. Kept values stay on disk until needed.

    Raises:
        DataError: If it is not one, or its content is not what was written.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        if manifest["schema"] != SCHEMA or manifest["digest"] != _digest(manifest):
            raise _refused(folder, "the manifest was changed")
        changed = [name for name, sha256 in manifest["files"].items() if _sha256(folder / name) != sha256]
        if changed:
            raise _refused(folder, f"{', '.join(sorted(changed))} was changed")
        arrays = {name: _Cut(folder / f"{name}.npy", lazy=name == "values") for name in _ARRAYS}
        features = tuple(Feature.from_json(entry["feature"]) for entry in manifest["features"])
        columns = {f.name: _column(f, entry, arrays) for f, entry in zip(features, manifest["features"], strict=True)}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _refused(folder, f"cannot be read: {error!r}") from error
    return Reference(features=features, columns=columns, about=manifest["about"])


def _refused(folder: Path, reason: str) -> DataError:
    return DataError("ML-DRIFT-005", f"{folder}: is no prepared reference: {reason}", "mlp drift prepare")


def _entry(
    feature: Feature, column: NumberReference | CategoryReference, parts: Mapping[str, list[NDArray[Any]]]
) -> dict[str, Any]:
    """The manifest's facts of one column; its arrays are added to `parts`."""
    if isinstance(column, CategoryReference):
        parts["counts"].append(_narrow(column.counts))
        return {"feature": feature.to_json()}
    parts["grid"] += [column.edges, column.area]
    parts["counts"] += [_narrow(array) for array in (column.below, column.upto, column.cuts)]
    if column.values is not None:
        parts["values"].append(column.values)
    sizes = {"edges": len(column.edges), "cuts": len(column.cuts), "kept": column.values is not None}
    numbers = {"rows": column.rows, "missing": column.missing, "centre": column.centre, "spread": column.spread}
    return {"feature": feature.to_json(), **numbers, **sizes}


def _narrow(array: NDArray[np.int64]) -> NDArray[np.integer]:
    """Half the size wherever it fits."""
    return array.astype(np.int32) if array.max(initial=0) <= np.iinfo(np.int32).max else array


class _Cut:
    """Takes one array apart from its start."""

    def __init__(self, path: Path, *, lazy: bool) -> None:
        self._array = np.load(path, mmap_mode="r" if lazy else None)
        self._at = 0

    def take(self, length: int) -> NDArray[Any]:
        if self._at + length > len(self._array):
            raise ValueError("an array is too short")
        self._at += length
        return np.asarray(self._array[self._at - length : self._at])


def _column(
    feature: Feature, entry: Mapping[str, Any], arrays: Mapping[str, _Cut]
) -> NumberReference | CategoryReference:
    if feature.kind == "category":
        found = arrays["counts"].take(len(feature.categories) + 1).astype(np.int64)
        return CategoryReference(categories=feature.categories, counts=found)
    k = entry["edges"]
    edges, area = arrays["grid"].take(k), arrays["grid"].take(max(k - 1, 0))
    below, upto, cuts = (arrays["counts"].take(length) for length in (k, k, entry["cuts"]))
    return NumberReference(
        rows=entry["rows"],
        missing=entry["missing"],
        centre=entry["centre"],
        spread=entry["spread"],
        edges=edges,
        below=below,
        upto=upto,
        area=area,
        cuts=cuts,
        values=arrays["values"].take(entry["rows"]) if entry["kept"] else None,
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(manifest: Mapping[str, Any]) -> str:
    plain = {key: value for key, value in manifest.items() if key != "digest"}
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def matrix_columns(features: Sequence[Feature], rows: NDArray[np.float32]) -> dict[str, Column]:
    """Encoded rows, shape (n_rows, n_features), as columns by name."""
    return dict(_named(features, rows))


def _named(features: Sequence[Feature], rows: NDArray[np.float32]) -> Iterator[tuple[str, Column]]:
    for index, feature in enumerate(features):
        yield feature.name, np.ascontiguousarray(rows[:, index])
