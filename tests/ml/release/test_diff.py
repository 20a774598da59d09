from typing import Any

from ml.release.diff import Change, differences
from ml.release.example import example


def changed(edit: Any) -> list[Change]:
    after = example()
    edit(after)
    return differences(example(), after)


def test_equal_records_do_not_differ() -> None:
    assert differences(example(), example()) == []


def test_a_metric_says_which_way_is_better() -> None:
    up = changed(lambda r: r["metrics"].update(accuracy=0.82, log_loss=0.44))

    assert up == [
        Change(section="metrics", name="accuracy", before="0.81", after="0.82", change="+0.01 better"),
        Change(section="metrics", name="log_loss", before="0.42", after="0.44", change="+0.02 worse"),
    ]


def test_every_section_that_a_reviewer_asks_about_is_compared() -> None:
    def edit(record: dict[str, Any]) -> None:
        record["gate"]["verdict"] = "fail"
        record["gate"]["policy"]["max_drop"] = 0.2
        record["parameters"]["depth"] = 3
        record["data"]["train"]["rows"] = 7000
        record["code"]["commit"] = "d" * 40
        record["environment"]["packages"] = {"scikit-learn": "1.9.2"}
        record["lock_sha256"] = "c" * 64
        record["model"]["bytes"] = 5000
        record["drift"]["features"]["distance"]["d"] = 0.05
        record["scans"]["static"]["verdict"] = "fail"
        record["search"] = {"sampler": "tpe"}

    found = changed(edit)

    assert [(item.section, item.name) for item in found] == [
        ("gate", "gate"), ("policy", "max_drop"), ("parameters", "depth"), ("search", "sampler"),
        ("data", "train.rows"), ("code", "commit"), ("packages", "packages.scikit-learn"), ("lock", "lock"),
        ("model", "bytes"), ("drift", "distance.d"), ("scans", "static.verdict"),
    ]  # fmt: skip
    assert next(item for item in found if item.name == "depth").before == "-"
    assert next(item for item in found if item.name == "train.rows").change == "+1,000"


def test_what_is_new_every_time_is_no_difference() -> None:
    assert changed(lambda r: r.update(created_at="2014-01-01T00:00:00Z", digest="f" * 64)) == []
