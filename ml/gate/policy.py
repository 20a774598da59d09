"""Loads the gate's policy: `ml/gate/gate.toml`, and over it the `gate.toml` in the problem's own folder."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml.errors import ConfigError
from ml.release.fields import policy_flaws

DEFAULT = Path(__file__).with_name("gate.toml")
_OF_PRESET = {"sound": ("comparison", "min_class_rows", "max_copied_share"), "classic": ("classic",)}


def load(kind: str, own: Path | None = None) -> dict[str, Any]:
    """The policy by which releases of this kind of problem are judged; it goes into the record as it is.

    Args:
        kind: binary, multiclass or regression.
        own: The problem's own `gate.toml`; need not exist.

    Raises:
        ConfigError: Naming everything that is wrong with the files.
    """
    merged = _merged(_read(DEFAULT), _read(own) if own is not None and own.exists() else {})
    policy = _of_preset(_of_kind(merged, kind))
    flaws = policy_flaws(policy)
    if flaws:
        listed = "".join(f"\n  - {flaw.message}" for flaw in flaws)
        where = own if own is not None and own.exists() else DEFAULT
        raise ConfigError("ML-GATE-001", f"{where}: the gate's policy is refused:{listed}", f"edit {where}")
    return policy


def _of_kind(merged: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """With the floors of this kind of problem only."""
    slices = dict(merged.get("slices", {}))
    slices["floors"] = slices.get("floors", {}).get(kind, {})
    return {**merged, "floors": merged.get("floors", {}).get(kind, {}), "slices": slices}


def _of_preset(policy: dict[str, Any]) -> dict[str, Any]:
    """Without what the other preset would need: a record holds the rules it was judged by, and no others."""
    if policy.get("preset") == "classic" and isinstance(policy.get("drift"), Mapping):
        policy = {**policy, "drift": {**policy["drift"], "rule": "classic"}}
    others = {key for preset, keys in _OF_PRESET.items() if preset != policy.get("preset") for key in keys}
    return {key: value for key, value in policy.items() if key not in others}


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            "ML-GATE-001", f"{path}: the gate's policy cannot be read: {error}", f"edit {path}"
        ) from error


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Tables are merged key by key; anything else in `over` replaces what is in `base`."""
    both = {key: value for key, value in over.items() if key not in base}
    for key, value in base.items():
        mine = over.get(key, value)
        both[key] = _merged(value, mine) if isinstance(value, Mapping) and isinstance(mine, Mapping) else mine
    return both
