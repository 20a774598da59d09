import pytest

from ml.training import cache

TRAINED = cache.Trained(
    model=b"model" * 100, serving=b"{}", evaluation=b"[]", facts={"metrics": {"accuracy": 0.1 + 0.2}, "n": None}
)


def test_what_was_stored_is_found(tmp_path):
    cache.store(tmp_path, "key", TRAINED)

    assert cache.load(tmp_path, "key") == TRAINED
    assert cache.load(tmp_path, "other") is None
    assert [entry.name for entry in tmp_path.iterdir()] == ["key"]


@pytest.mark.parametrize("name", ["model.onnx", "serving.json", "evaluation.json", "entry.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "gone"])
def test_a_damaged_entry_is_a_miss_and_is_replaced(tmp_path, name, damage):
    cache.store(tmp_path, "key", TRAINED)
    path = tmp_path / "key" / name
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


def test_any_part_of_the_key_changes_it():
    keys = {cache.key(parts) for parts in ({"a": 1}, {"a": 2}, {"b": 1}, {"a": 1, "b": 1}, {"a": "1"})}

    assert len(keys) == 5
