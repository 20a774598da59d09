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
    assert policy["preset"] == "sound"
    assert policy["comparison"]["margin"] == 0.005


def test_the_problems_own_file_wins_key_by_key(tmp_path: Path) -> None:
    own = tmp_path / "gate.toml"
    own.write_text(
        "min_test_rows = 800\n[comparison.margins]\nf1 = 0.02\n[floors.binary]\naccuracy = 0.9\n[drift]\nmin_d = 0.2\n"
    )

    policy = load("binary", own)

    assert policy["min_test_rows"] == 800
    assert policy["comparison"] == {**load("binary")["comparison"], "margins": {"f1": 0.02}}
    assert policy["floors"]["accuracy"] == 0.9
    assert policy["floors"]["roc_auc"] == load("binary")["floors"]["roc_auc"]
    assert policy["drift"] == {**load("binary")["drift"], "min_d": 0.2}


def test_a_file_that_does_not_exist_changes_nothing(tmp_path: Path) -> None:
    assert load("binary", tmp_path / "gate.toml") == load("binary")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[comparison]\nmargin = -1\n", "margin"),
        ("[comparison]\nmargin = nan\n", "margin"),
        ("[comparison]\nalpha = 0.5\n", "alpha"),
        ("preset = 'classic'\n[classic]\nmax_drop = -1\n", "max_drop"),
        ("preset = 'lenient'\n", "preset"),
        ("max_dorp = 0.1\n", "max_dorp"),
        ("[floors.binary]\naccuracy = 'high'\n", "floors"),
        ("[floors.binary]\nvibes = 1.0\n", "floors"),
        ("[[waivers]]\nrule = 'scan'\nof = 'code'\nreason = 'r'\nowner = 'o'\nexpires = 'never'\n", "expires"),
        ("[[waivers]]\nrule = 'scan'\nof = 'code'\nreason = 'r'\nexpires = '2030-01-01'\n", "owner"),
        ("[[waivers]]\nrule = 'champion'\nof = 'f1'\nreason = 'r'\nowner = 'o'\nexpires = '2030-01-01'\n", "rule"),
        ("preset = \n", "cannot be read"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_by_name(tmp_path: Path, text: str, named: str) -> None:
    own = tmp_path / "gate.toml"
    own.write_text(text)

    with pytest.raises(ConfigError, match=named) as refused:
        load("binary", own)
    assert refused.value.code == "ML-GATE-001"


def test_a_policy_holds_only_the_rules_of_its_preset(tmp_path: Path) -> None:
    own = tmp_path / "gate.toml"
    own.write_text("preset = 'classic'\n")

    classic = load("binary", own)

    assert policy_flaws(classic) == []
    assert "comparison" not in classic
    assert classic["classic"]["metrics"] == ["accuracy", "precision", "recall", "f1"]
    assert "classic" not in load("binary")
