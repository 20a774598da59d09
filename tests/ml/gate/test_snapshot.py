import pytest

from ml.release.example import POLICY, example

KEPT = {"sha256": "a" * 64, "rows": 7000}


def outcome(snapshot, *, required=True):
    def change(record):
        record["gate"]["policy"] = {**POLICY, "snapshot": {"required": required}}
        record["data"]["snapshot"] = snapshot
        if snapshot is Ellipsis:
            del record["data"]["snapshot"]

    gate = example(change)["gate"]
    found = [(check["outcome"], check["reason"]) for check in gate["checks"] if check["rule"] == "data"]
    return gate["verdict"], found


def test_a_kept_snapshot_of_the_very_rows_passes():
    assert outcome(KEPT) == ("pass", [("pass", "ok")])


@pytest.mark.parametrize(
    ("snapshot", "reason"),
    [
        (..., "snapshot-unpinned"),
        (None, "snapshot-unpinned"),
        ({**KEPT, "sha256": "b" * 64}, "snapshot-changed"),
        ({**KEPT, "rows": 6999}, "snapshot-changed"),
    ],
)
def test_data_that_nobody_can_train_on_again_are_refused(snapshot, reason):
    assert outcome(snapshot) == ("fail", [("fail", reason)])


def test_a_policy_may_do_without():
    assert outcome(None, required=False) == ("pass", [])
