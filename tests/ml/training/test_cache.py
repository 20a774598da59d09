import os
from dataclasses import replace

import pytest

from ml.training import cache

TRAINED = cache.Trained(
    model=b"model" * 100, serving=b"{}", evaluation=b"[]", facts={"metrics": {"accuracy": 0.1 + 0.2}, "n": None}
)


def test_what_was_stored_is_found(tmp_path):
    cache.store(tmp_path, "key", TRAINED)

    assert cache.load(tmp_path, "key") == TRAINED
    assert cache.load(tmp_path, "other") is None
    assert [entry.name for entry in tmp_path.iterdir()] == ["key.entry"]


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "gone"])
def test_a_damaged_entry_is_a_miss_and_is_replaced(tmp_path, damage):
    cache.store(tmp_path, "key", TRAINED)
    path = tmp_path / "key.entry"
    content = path.read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes({"flip": flipped, "cut": content[:-1], "empty": b""}[damage])

    assert cache.load(tmp_path, "key") is None
    cache.store(tmp_path, "key", TRAINED)
    assert cache.load(tmp_path, "key") == TRAINED


def test_above_the_cap_the_trainings_used_longest_ago_go(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "MAX_MIB", 1.0)
    for age, name in enumerate(("old", "used", "new")):
        cache.store(tmp_path, name, replace(TRAINED, model=name.encode() * 80_000))
        os.utime(tmp_path / f"{name}.entry", ns=(age, age))
    cache.load(tmp_path, "old")
    cache.store(tmp_path, "more", replace(TRAINED, model=b"x" * 300_000))

    found = {name: cache.load(tmp_path, name) is not None for name in ("old", "used", "new", "more")}
    assert found == {"old": True, "used": False, "new": True, "more": True}
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 2**20


def test_any_part_of_the_key_changes_it():
    keys = {cache.key(parts) for parts in ({"a": 1}, {"a": 2}, {"b": 1}, {"a": 1, "b": 1}, {"a": "1"})}

    assert len(keys) == 5
