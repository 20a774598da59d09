import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.data import ingest as ingest_module
from ml.data.ingest import Order, Post, ingest
from ml.data.letters import MAX_ATTEMPTS, DeadLetters, letter
from ml.data.read import BadRow
from ml.data.replay import replay
from ml.data.snapshots import load
from ml.errors import DataError
from tests.ml.data.small import lines, problem

NOW = datetime(2013, 7, 1, tzinfo=UTC)
STAMP = "2013-07-01T00:00:00Z"


def letters(count, now=STAMP, source="a.csv", **cells):
    return [letter(source, row, ["heat:above_maximum"], {"heat": row, **cells}, now) for row in range(1, count + 1)]


@pytest.fixture
def store(tmp_path):
    return DeadLetters(tmp_path / "letters")


def test_a_letter_says_what_where_from_why_and_when(store):
    store.add(letters(1))

    kept = next(iter(store.read().letters.values()))
    assert (kept.source, kept.row, kept.causes, kept.cells) == ("a.csv", 1, ("heat:above_maximum",), {"heat": 1})
    assert (kept.attempts, kept.first_seen, kept.last_seen) == (1, STAMP, STAMP)


def test_the_same_row_again_is_the_same_letter_with_one_more_attempt(store):
    store.add(letters(3))
    store.add(letters(3, now="2013-07-02T00:00:00Z"))

    kept = store.read().letters.values()
    assert {(each.attempts, each.first_seen, each.last_seen) for each in kept} == {(2, STAMP, "2013-07-02T00:00:00Z")}
    assert len(kept) == 3


def test_of_one_run_no_more_is_held_in_memory_than_the_store_would_keep(store, monkeypatch):
    monkeypatch.setattr(ingest_module, "MAX_BUFFERED_BYTES", 10_000)
    post = Post(store, NOW)
    post.take("a.csv", (BadRow(number=row, codes=("cause",), cells={"text": "x" * 1000}) for row in range(1, 101)))

    kept = post.deliver(systemic=False)

    content = store.read()
    assert (5 < kept < 10, len(content.letters), content.counts.dropped) == (True, kept, 100 - kept)
    assert max(each.row for each in content.letters.values()) == 100


def test_nothing_is_made_for_no_letter(store):
    store.add([])

    assert not store.folder.exists()
    assert store.read().letters == {}


def test_above_the_cap_the_letters_last_seen_longest_ago_are_dropped_and_counted(tmp_path):
    store = DeadLetters(tmp_path, max_mib=0.01)
    store.add(letters(20, source="old.csv"))
    store.add(letters(40, source="new.csv", now="2013-07-02T00:00:00Z"))

    content = store.read()
    assert sum(path.stat().st_size for path in tmp_path.glob("letters-*")) <= 0.011 * 2**20
    assert {each.source for each in content.letters.values()} == {"new.csv"}
    assert content.counts.dropped == 60 - len(content.letters)


def test_a_row_too_long_to_keep_keeps_its_causes(store):
    store.add(letters(1, text="x" * 100_000))

    assert [each.cells for each in store.read().letters.values()] == [None]


@given(position=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_damaged_store_is_an_error_and_never_an_empty_one(tmp_path_factory, position, bit):
    store = DeadLetters(tmp_path_factory.mktemp("letters"))
    store.add(letters(3))
    path = next(store.folder.glob("letters-*.jsonl"))
    raw = bytearray(path.read_bytes())
    raw[position % len(raw)] ^= 1 << bit
    path.write_bytes(raw)

    with pytest.raises(DataError, match="ML-DATA-011"):
        store.read()


def test_an_unwritable_store_stops_the_run(tmp_path):
    (tmp_path / "letters").write_text("a file where the folder should be")

    with pytest.raises(DataError, match=r"ML-DATA-011.*cannot be kept"):
        DeadLetters(tmp_path / "letters").add(letters(1))


def test_a_process_killed_between_two_generations_leaves_one_state(store):
    store.add(letters(2))
    earlier = next(store.folder.glob("letters-*.jsonl"))
    content = earlier.read_bytes()
    store.add(letters(3))
    earlier.write_bytes(content)  # as if it had been killed before it removed the earlier one

    assert len(store.read().letters) == 3


def test_a_reader_whose_file_is_replaced_meanwhile_reads_its_successor(store, monkeypatch):
    store.add(letters(2))
    earlier = store.file()
    store.add(letters(5))
    found = iter([earlier, store.file()] * 2)
    monkeypatch.setattr(store, "_latest", lambda: next(found))

    assert len(store.read().letters) == 5
    assert store.size() > 0


def test_a_writer_killed_at_any_moment_loses_nothing_that_was_there(tmp_path):
    store = DeadLetters(tmp_path)
    store.add(letters(5))
    code = (
        "import sys; from pathlib import Path; from ml.data.letters import DeadLetters, letter\n"
        "many = [letter('b.csv', row, ['cause'], {'heat': row}, 'now') for row in range(50)]\n"
        "print('go', flush=True)\n"
        "while True: DeadLetters(Path(sys.argv[1])).add(many)"
    )
    writer = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    assert writer.stdout.readline() == b"go\n"
    while len(store.read().letters) <= 5:
        assert writer.poll() is None
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    writer.stdout.close()

    assert len(store.read().letters) == 55
    store.add(letters(1))  # the lock died with its holder


def test_metrics_are_in_the_text_format(store):
    store.add([*letters(2), letter("a.csv", 9, ['odd"cause'], {}, STAMP)], dropped=7)

    text = (store.folder / "metrics.prom").read_text()
    assert 'ml_data_dead_letters{cause="heat:above_maximum"} 2\n' in text
    assert 'ml_data_dead_letters{cause="odd\\"cause"} 1\n' in text
    assert "\nml_data_dead_letters_dropped_total 7\n" in text
    assert f"\nml_data_dead_letters_bytes {store.size()}\n" in text


BAD = lines("2013-06-01,1,5,red", "2013-06-02,1,far,blue", "2013-06-03,0,7,red", "2013-06-04,0,7,blue", "2013-06-05,1")


@pytest.fixture
def filled(tmp_path, store):
    """Two unknown colours, a text among numbers and a ragged row."""
    (tmp_path / "bad.csv").write_text(BAD)
    post = Post(store, NOW)
    outcome = ingest(problem(), Order(files=[tmp_path / "bad.csv"]), post)
    post.deliver(systemic=False)
    assert (outcome.ledger.total, outcome.ledger.accepted, post.taken) == (5, 1, 4)
    return store


def test_after_a_correction_of_the_contract_what_passes_is_handed_back(filled, tmp_path):
    done = replay(problem(colours=("blue", "green", "red")), filled, tmp_path / "out", now=NOW + timedelta(days=1))

    assert (done.passed, done.dropped, done.failed, done.passed_over) == (2, 0, 2, 0)
    rows, _ = load(done.file.stem, done.file.parent)
    assert rows["heat"].tolist() == [5.0, 7.0]
    assert [str(moment) for moment in rows["when"]] == ["2013-06-01 00:00:00", "2013-06-03 00:00:00"]
    left = filled.read()
    assert {each.causes: each.attempts for each in left.letters.values()} == {
        ("heat:wrong_type",): 2,
        ("ragged_row",): 2,
    }
    assert left.counts.resolved == 2


def test_a_replay_without_a_correction_only_counts_the_attempt(filled, tmp_path):
    done = replay(problem(), filled, tmp_path / "out", now=NOW)

    assert (done.passed, done.failed, done.file) == (0, 4, None)
    assert {each.attempts for each in filled.read().letters.values()} == {2}


def test_a_replay_killed_before_the_letters_left_hands_back_the_same_file(filled, tmp_path):
    before = {path: path.read_bytes() for path in filled.folder.glob("letters-*")}
    corrected = problem(colours=("blue", "green", "red"))
    first = replay(corrected, filled, tmp_path / "out", now=NOW)
    for path in filled.folder.glob("letters-*"):
        path.unlink()
    for path, content in before.items():
        path.write_bytes(content)

    assert replay(corrected, filled, tmp_path / "out", now=NOW).file == first.file
    assert len(list((tmp_path / "out").iterdir())) == 1
    assert replay(corrected, filled, tmp_path / "out", now=NOW).passed == 0


def test_what_failed_too_often_is_passed_over_until_asked_for(filled, tmp_path):
    for _ in range(MAX_ATTEMPTS):
        last = replay(problem(), filled, tmp_path / "out", now=NOW)

    assert (last.failed, last.passed_over) == (0, 4)
    assert replay(problem(), filled, tmp_path / "out", now=NOW, everything=True).failed == 4


def test_a_row_whose_key_is_there_twice_is_handed_back_once(tmp_path, store):
    (tmp_path / "bad.csv").write_text(lines("2013-06-01,1,5,red", "2013-06-01,1,6,red"))
    post = Post(store, NOW)
    ingest(problem(colours=("red",)), Order(files=[tmp_path / "bad.csv"]), post)
    assert post.taken == 0
    ingest(problem(), Order(files=[tmp_path / "bad.csv"]), post)
    post.deliver(systemic=False)

    done = replay(problem(colours=("red",)), store, tmp_path / "out", now=NOW)

    assert (done.passed, done.dropped, post.taken) == (1, 0, 1)
