"""Who may import whom (docs/architecture.md, "Layers"). A rule that is broken prints every offender."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.meta.tree import ROOT, closure, files, python, source, within

# Decide from values alone: no engine, no tracking server, no network, no clock, no randomness of their own.
PURE = (
    "infra/key_hashes.py",
    "infra/gpu_settings.py",
    "infra/names.py",
    "infra/slots.py",
    "ml/data/schema.py",
    "ml/drift/category.py",
    "ml/drift/counting.py",
    "ml/delivery/counts.py",
    "ml/delivery/scores.py",
    "ml/delivery/sizes.py",
    "ml/drift/decide.py",
    "ml/drift/golden.py",
    "ml/drift/live.py",
    "ml/drift/number.py",
    "ml/drift/outputs.py",
    "ml/drift/plots.py",
    "ml/drift/seasons.py",
    "ml/drift/statistics.py",
    "ml/errors.py",
    "ml/evaluation/calibration.py",
    "ml/evaluation/curves.py",
    "ml/evaluation/difference.py",
    "ml/evaluation/metrics.py",
    "ml/evaluation/report.py",
    "ml/flights/features.py",
    "ml/gate/accepted.py",
    "ml/gate/check.py",
    "ml/gate/judge.py",
    "ml/gate/metrics.py",
    "ml/gate/reasons.py",
    "ml/preview/events.py",
    "ml/preview/evidence.py",
    "ml/preview/facts.py",
    "ml/preview/markdown.py",
    "ml/preview/render.py",
    "ml/release/envelope.py",
    "ml/release/fields.py",
    "ml/release/diff.py",
    "ml/release/keys.py",
    "ml/release/ledger.py",
    "ml/release/proof.py",
    "ml/release/signature.py",
    "ml/release/record.py",
    "ml/statistics/intervals.py",
    "ml/statistics/live.py",
    "ml/statistics/multiplicity.py",
    "ml/batch/shards.py",
    "ml/configured.py",
    "ml/training/failures.py",
    "ml/training/folds.py",
    "ml/training/ledger.py",
    "ml/training/months.py",
    "ml/training/plan.py",
    "ml/training/space.py",
)
PULUMI = ("pulumi", "pulumi_docker", "pulumi_kubernetes", "pulumi_policy")
IMPURE_LIBRARIES = (
    "aiohttp",
    "docker",
    "http",
    "httpx",
    "kubernetes",
    "mlflow",
    *PULUMI,
    "requests",
    "socket",
    "subprocess",
    "time",
    "urllib.request",
    "urllib3",
    "uvicorn",
)
CLOCK = ("now", "today", "utcnow")
# What the policy pack may know of us: plain values and pure judgement.
POLICIES_MAY_IMPORT = (
    "infra.names",
    "infra.slots",
    "ml.errors",
    "ml.gate.accepted",
    "ml.gate.judge",
    "ml.gate.metrics",
    "ml.release.fields",
    "ml.release.keys",
    "ml.release.signature",
    "ml.release.proof",
    "ml.release.record",
)
# The folder that a user replaces, and the one line that names it.
THE_PROBLEM = "ml/flights/"
NAMES_THE_FOLDER = ("ml/configured.py",)


def _reaches(name: str, libraries: Sequence[str]) -> list[str]:
    return [
        f"{name}, by {reached}, imports {dotted}"
        for reached in sorted(closure(name))
        for dotted in source(reached).imports
        if any(within(dotted, library) for library in libraries)
    ]


@pytest.mark.parametrize("name", python("ml"))
def test_ml_never_imports_pulumi_directly_or_not(name: str) -> None:
    offenders = _reaches(name, PULUMI)
    assert not offenders, "\n" + "\n".join(offenders)


@pytest.mark.parametrize("name", PURE)
def test_a_pure_module_stays_pure_with_everything_it_imports(name: str) -> None:
    assert (ROOT / name).is_file(), "a module on this list was moved: move it on the list as well"
    offenders = [
        f"{reached}:{line} reads the clock"
        for reached in sorted(closure(name))
        for line, method in source(reached).calls
        if method in CLOCK
    ]

    offenders += _reaches(name, IMPURE_LIBRARIES)
    assert not offenders, "\n" + "\n".join(offenders)


def test_policies_import_only_pure_modules_of_ours() -> None:
    offenders = [
        f"{name}: {dotted}"
        for name in python("policies")
        for dotted in source(name).imports
        if dotted.split(".")[0] in ("infra", "ml", "toolchain")
        and not any(within(dotted, allowed) for allowed in POLICIES_MAY_IMPORT)
    ]

    assert not offenders, "\n" + "\n".join(offenders)


def test_mlflow_is_imported_in_one_place() -> None:
    offenders = [
        name
        for name in python("ml", "infra", "policies")
        if any(within(dotted, "mlflow") for dotted in source(name).imports) and not name.startswith("ml/tracking/")
    ]

    assert not offenders, "\n" + "\n".join(offenders)


def _mentions(name: str) -> list[str]:
    """Identifiers and strings that know the reference problem; examples of a release id (flights-0001) do not."""
    strings = [(line, re.sub(r"flights-\d{4}", "", value)) for line, value in source(name).strings]
    words = [*strings, *source(name).names]
    return [f"{name}:{line}: {word.strip()[:80]}" for line, word in words if "flights" in word.lower()]


def test_only_the_users_folder_knows_the_reference_problem() -> None:
    offenders = [
        mention
        for name in python("ml", "infra", "policies", "toolchain")
        if not name.startswith(THE_PROBLEM) and name not in NAMES_THE_FOLDER
        for mention in _mentions(name)
    ]

    assert not offenders, "\n" + "\n".join(offenders)


def test_every_folder_with_python_is_a_package() -> None:
    folders = {str(Path(name).parent) for name in python("infra", "ml", "policies") if "/" in name}

    assert [folder for folder in sorted(folders) if f"{folder}/__init__.py" not in files(".py")] == []
