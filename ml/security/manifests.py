"""The Kubernetes objects of every stack, by kubernetes-validate in its strict mode and by the policy pack's own rules.

The Pulumi program says which objects there are; `infra.rendered` runs it without an engine or a cluster, in a process
of its own: nothing here knows Pulumi.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ml.security.result import Run, Scan, Verdict, words
from ml.security.subjects import of_program

KUBERNETES = "1.34"  # what toolchain/pins.toml builds; a test holds the two together
LIMIT_S = 120.0
_RENDER = "infra.rendered"


def scan_manifests(root: Path, folder: Path, run: Run) -> Scan:
    """Render and check the objects of every stack that has a file.

    Args:
        root: The checkout.
        folder: Where the objects are written, as JSON.
        run: Runs the program.
    """
    subject = of_program(root)
    stacks = sorted(path.name.split(".")[1] for path in root.glob("Pulumi.*.yaml"))
    out = folder / "manifests.json"
    folder.mkdir(parents=True, exist_ok=True)
    out.unlink(missing_ok=True)
    answer = run([sys.executable, "-m", _RENDER, str(out), *stacks], LIMIT_S)
    verdict: Verdict = "incomplete"
    covered = total = 0
    findings: tuple[str, ...] = ()
    rendered = _read(out) if answer.exit_code == 0 else None
    if rendered is None or sorted(rendered) != stacks or not all(rendered.values()):
        reason = f"the objects were not rendered: {words(answer)}"
    else:
        each = [(stack, entry) for stack, entries in rendered.items() for entry in entries]
        checked = [(f"{stack} {_name(entry)}", _problems(entry)) for stack, entry in each]
        covered, total = sum(problems is not None for _name, problems in checked), len(checked)
        findings = tuple(f"{name}: {line}" for name, problems in checked for line in problems or ())
        verdict = "fail" if findings else "pass" if covered == total > 0 else "incomplete"
        unknown = sorted({name for name, problems in checked if problems is None})
        reason = f"{len(findings)} findings in {covered} of {total} objects of {', '.join(stacks) or 'no stack'}"
        reason += f", Kubernetes {KUBERNETES}" + (f"; no schema for {', '.join(unknown[:5])}" if unknown else "")
    return Scan(
        tool="kubernetes-validate",
        version=version("kubernetes-validate"),
        subject=subject.name,
        subject_sha256=subject.sha256,
        covered=covered,
        total=total,
        verdict=verdict,
        reason=reason,
        findings=findings,
    )


def schema_problems(found: Mapping[str, Any]) -> list[str] | None:
    """What breaks the schema of the object's kind, unknown fields included; None where there is no such schema."""
    import kubernetes_validate  # type: ignore[import-untyped]  # noqa: PLC0415  (slow to load, and most commands need none)

    try:
        kubernetes_validate.validate(dict(found), KUBERNETES, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{'.'.join(map(str, error.path)) or 'the object'}: {error.message[:200]}"]
    except (kubernetes_validate.SchemaNotFoundError, KeyError):
        return None
    return []


def _problems(entry: Mapping[str, Any]) -> Sequence[str] | None:
    schema = schema_problems(entry["object"])
    return None if schema is None else [*schema, *entry["violations"]]


def _name(entry: Mapping[str, Any]) -> str:
    found = entry["object"]
    return f"{found.get('kind')}/{found.get('metadata', {}).get('name')}"


def _read(path: Path) -> dict[str, list[dict[str, Any]]] | None:
    try:
        rendered = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    fits = isinstance(rendered, dict) and all(_is_entry(entry) for entry in _entries(rendered))
    return rendered if fits else None


def _entries(rendered: Mapping[str, Any]) -> Iterator[Any]:
    for entries in rendered.values():
        yield from entries if isinstance(entries, list) else [None]


def _is_entry(entry: object) -> bool:
    if not isinstance(entry, dict):
        return False
    return isinstance(entry.get("object"), dict) and isinstance(entry.get("violations"), list)
