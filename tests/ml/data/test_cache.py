import os
import threading

import pytest

from ml.data.cache import Cache, key


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path, max_mib=1)


def test_what_was_put_is_found_and_nothing_else(cache):
    cache.put("a", b"content")

    assert (cache.get("a"), cache.get("b")) == (b"content", None)


def test_an_entry_with_any_byte_flipped_is_a_miss(cache, tmp_path):
    cache.put("a", b"some content")
    path = next(tmp_path.iterdir())
    whole = path.read_bytes()

    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0xFF]) + whole[position + 1 :])
        assert cache.get("a") is None, position


@pytest.mark.parametrize("cut", [0, 1, 31, 32, 40])
def test_an_entry_cut_short_is_a_miss(cache, tmp_path, cut):
    cache.put("a", b"some content")
    path = next(tmp_path.iterdir())
    path.write_bytes(path.read_bytes()[:cut])

    assert cache.get("a") is None


def test_an_entry_under_another_name_is_a_miss(cache, tmp_path):
    cache.put("a", b"content")
    (tmp_path / "a.entry").rename(tmp_path / "b.entry")

    assert cache.get("b") is None


def test_the_entries_used_longest_ago_go_first(cache, tmp_path):
    for age, name in enumerate(("old", "used", "new")):
        cache.put(name, name.encode() * 100_000)
        os.utime(tmp_path / f"{name}.entry", ns=(age, age))
    cache.get("old")
    cache.put("more", b"x" * 300_000)

    assert [cache.get(name) is None for name in ("old", "used", "new", "more")] == [False, True, False, False]
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 2**20


def test_what_a_killed_writer_left_goes_and_what_another_one_writes_now_stays(cache, tmp_path):
    left, written = tmp_path / ".a.entry.1.tmp", tmp_path / ".a.entry.2.tmp"
    for path in (left, written):
        path.write_bytes(b"half of it")
    os.utime(left, (1, 1))
    cache.put("b", b"content")

    assert (left.exists(), written.exists(), cache.get("b")) == (False, True, b"content")


def test_what_is_larger_than_the_cache_is_not_kept(cache, tmp_path):
    cache.put("a", b"x" * 2**21)

    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_cannot_be_written_stops_nobody(tmp_path):
    (tmp_path / "file").write_text("in the way")
    cache = Cache(tmp_path / "file", max_mib=1)
    cache.put("a", b"content")

    assert cache.get("a") is None


def test_a_reader_beside_writers_sees_a_whole_entry_or_none(cache):
    stop = threading.Event()

    def write(content):
        while not stop.is_set():
            cache.put("a", content)

    # Threads share a process id, so each writes through a name of its own.
    writer = threading.Thread(target=write, args=(b"1" * 50_000,))
    writer.start()
    seen = {cache.get("a") for _ in range(300)}
    stop.set()
    writer.join()

    assert seen <= {None, b"1" * 50_000}


def test_a_key_depends_on_every_part():
    assert len({key({"data": 1, "code": 2}), key({"data": 1, "code": 3}), key({"data": 2, "code": 2})}) == 3
    assert key({"a": 1, "b": 2}) == key({"b": 2, "a": 1})
