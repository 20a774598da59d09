from pathlib import Path

import pytest

from ml.errors import ConfigError
from ml.gate.policy import load
from ml.release.fields import policy_flaws


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_the_policy_of_every_kind_is_whole(kind: str) -> None:
    policy = load(kind)

    assert policy_flaws(policy) == []
    assert policy["floors"]
    assert policy["max_drop"] == 0.05


def test_the_problems_own_file_wins_key_by_key(tmp_path: Path) -> None:
    own = tmp_path / "gate.toml"
    own.write_text("max_drop = 0.01\n[floors.binary]\naccuracy = 0.9\n[drift]\nmin_d = 0.2\n")

    policy = load("binary", own)

    assert policy["max_drop"] == 0.01
    assert policy["floors"]["accuracy"] == 0.9
    assert policy["floors"]["roc_auc"] == load("binary")["floors"]["roc_auc"]
    assert policy["drift"] == {**load("binary")["drift"], "min_d": 0.2}


def test_a_file_that_does_not_exist_changes_nothing(tmp_path: Path) -> None:
    assert load("binary", tmp_path / "gate.toml") == load("binary")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("max_drop = -1\n", "max_drop"),
        ("max_drop = nan\n", "max_drop"),
        ("max_dorp = 0.1\n", "max_dorp"),
        ("[floors.binary]\naccuracy = 'high'\n", "floors"),
        ("[floors.binary]\nvibes = 1.0\n", "floors"),
        ("[[scans.exceptions]]\nscan = 'code'\nreason = 'r'\nowner = 'o'\nexpires = 'never'\n", "expires"),
        ("[[scans.exceptions]]\nscan = 'code'\nreason = 'r'\nexpires = '2030-01-01'\n", "owner"),
        ("max_drop = \n", "cannot be read"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_by_name(tmp_path: Path, text: str, named: str) -> None:
    own = tmp_path / "gate.toml"
    own.write_text(text)

    with pytest.raises(ConfigError, match=named) as refused:
        load("binary", own)
    assert refused.value.code == "ML-GATE-001"
