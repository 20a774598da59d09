"""The one comment on a pull request: verdict first, then the model, then the infrastructure. Pure.

Whatever the facts hold, the result is valid Markdown of at most `MAX_CHARACTERS`; parts are left out from the end.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from ml.preview.evidence import candidate_of, champion_of, number
from ml.preview.facts import Change, Evidence, Finding, Operation, Plan, Preview, Row
from ml.preview.markdown import block, code, details, plain, table

MAX_CHARACTERS: Final = 60_000  # the forge takes 65,536; the rest is headroom for what a workflow adds
_REASONS: Final = 10
_ERROR_CHARACTERS: Final = 2_000
_OPERATIONS: Final[tuple[Operation, ...]] = ("create", "update", "replace", "delete", "other")
_PASSED: Final = "✅"
_BLOCKED: Final = "❌"
_DIGEST: Final = re.compile(r"\b[0-9a-f]{64}\b")
_MARKS: Final = {"pass": _PASSED, "fail": _BLOCKED, "inconclusive": "⚠️", "incomplete": "⚠️"}


def marker(stack: str) -> str:
    """The first line of a stack's comment; the next preview finds the comment by it and edits it."""
    return f"<!-- ml-pipeline:preview:{''.join(char for char in stack if char.isalnum() or char in '-_')} -->"


def render(preview: Preview) -> str:
    """The comment."""
    fixed = [marker(preview.stack), _heading(preview), _reasons(preview), _overview(preview)]
    parts: list[Callable[[Preview], str]] = [_model, _gate, _drift, _scans, _infrastructure, _policies, _errors]
    text = "\n\n".join(part for part in fixed if part)
    left_out = 0
    for part in parts:
        body = part(preview)
        if body and len(text) + len(body) > MAX_CHARACTERS - 200:
            left_out += 1
        elif body:
            text += f"\n\n{body}"
    if left_out:
        text += f"\n\n{left_out} parts were too long for a comment; the job's log has them."
    return f"{text}\n"


def blockers(preview: Preview) -> list[str]:
    """Why this change may not go ahead, as plain text; empty: it may."""
    found = [] if preview.candidate is None else list(preview.candidate.problems)
    found += [f"policy {each.policy} on {each.resource}: {each.message}" for each in _at("mandatory", preview.plan)]
    found += preview.plan.errors
    if not found and not preview.plan.packs:
        found.append("no policy pack ran, so nothing was checked; call it with --policy-pack policies")
    if not found and preview.exit_code != 0:
        found.append(f"pulumi preview ended with exit code {preview.exit_code} and no reason; see the job's log")
    return list(dict.fromkeys(found))


def _heading(preview: Preview) -> str:
    mark = _BLOCKED if blockers(preview) else _PASSED
    return f"## {mark} {plain(preview.stack)}: {_headline(preview)}"


def _headline(preview: Preview) -> str:
    candidate = candidate_of(preview.plan)
    if not blockers(preview):
        return _outlook(preview.plan, candidate)
    evidence = preview.candidate is not None and preview.candidate.problems
    if not (evidence or _at("mandatory", preview.plan)):
        return "the preview did not finish"
    return f"{code(candidate)} is refused" if candidate else "the change is refused"


def _outlook(plan: Plan, candidate: str | None) -> str:
    """What happens to the traffic when the change is applied."""
    champion = champion_of(plan)
    if not plan.changes:
        return "nothing changes"
    if candidate is None:
        return "infrastructure only, no release"
    if candidate == champion and plan.live_before == plan.live_after:
        return f"{code(candidate)} stays live, infrastructure changes"
    if plan.release_of(plan.live_after, after=True) == candidate:
        origin = f" from {code(champion)}" if champion else ", the first release"
        return f"traffic moves to {code(candidate)}{origin}"
    return f"{code(candidate)} is staged, traffic stays on {code(champion or '')}"


def _reasons(preview: Preview) -> str:
    reasons = blockers(preview)
    if not reasons:
        return ""
    lines = [f"- {plain(reason)}" for reason in reasons[:_REASONS]]
    if len(reasons) > _REASONS:
        lines.append(f"- and {len(reasons) - _REASONS} more")
    return "\n".join(["**Why**", "", *lines])


def _overview(preview: Preview) -> str:
    plan = preview.plan
    rows = [["slot", "release now", "release then", "traffic"]]
    for slot in plan.slots:
        before = _release(slot.before) if plan.state_read else "not read"
        rows.append([code(slot.name), before, _release(slot.after), _traffic(slot.name, plan)])
    counts = {level: len(_at(level, plan)) for level in ("mandatory", "advisory", "unchecked")}
    violations = "violation" if counts["mandatory"] == 1 else "violations"
    policies = f"{counts['mandatory']} mandatory {violations}, {counts['advisory']} advisory"
    if counts["unchecked"]:
        policies += f", {counts['unchecked']} decided while applying"
    packs = ", ".join(code(pack) for pack in plan.packs) or "**no pack ran**"
    lines = [
        f"**Release verdict**: {_verdict(preview.candidate)}",
        f"**Infrastructure**: {_summary(plan)}",
        f"**Policies**: {policies} ({packs})",
    ]
    return f"{table(rows[0], rows[1:])}\n\n" + "  \n".join(lines)


def _release(release: str | None) -> str:
    return code(release) if release else "empty"


def _traffic(slot: str, plan: Plan) -> str:
    now, then = slot == plan.live_before, slot == plan.live_after
    if not plan.state_read:
        return "then **live**" if then else "then idle"
    return {(True, True): "live", (True, False): "live → idle", (False, True): "idle → **live**"}.get(
        (now, then), "idle"
    )


def _verdict(evidence: Evidence | None) -> str:
    if evidence is None:
        return "no release"
    if evidence.problems and evidence.verdict == "pass":
        return f"{_BLOCKED} says pass, and does not verify"
    return _outcome(evidence.verdict)


def _summary(plan: Plan) -> str:
    if not plan.state_read and plan.errors:
        return "not compared, because of the errors"
    parts = [f"{count} to {op}" for op in _OPERATIONS if (count := sum(1 for c in plan.changes if c.operation == op))]
    return ", ".join([*parts, f"{plan.unchanged} unchanged"])


def _outcome(outcome: str) -> str:
    return f"{_MARKS.get(outcome, _BLOCKED)} {plain(outcome)}"


def _model(preview: Preview) -> str:
    evidence = preview.candidate
    if evidence is None or not evidence.metrics:
        return ""
    champion = evidence.champion
    head = ["metric", code(evidence.release), code(champion) if champion else "no champion", "change", "limits"]
    rows = [_metric(row) for row in evidence.metrics]
    facts = "\n".join(f"- {plain(label)}: {plain(value)}" for label, value in evidence.facts)
    body = f"### Model\n\n{table(head, rows)}"
    live = champion_of(preview.plan)
    if live is not None and live not in (champion, evidence.release):
        body += (
            f"\n\nThe champion in the record is not what is live now ({code(live)}): the comparison is of another day."
        )
    return f"{body}\n\n{details('What it was made of', facts)}" if facts else body


def _metric(row: Row) -> list[str]:
    change = ""
    if row.candidate is not None and row.champion is not None:
        change = f"{row.candidate - row.champion:+.4f}"
    values = (number(row.candidate), number(row.champion))
    return [plain(row.metric), *map(plain, values), change, "<br>".join(plain(limit) for limit in row.limits)]


def _gate(preview: Preview) -> str:
    checks = preview.candidate.checks if preview.candidate else ()
    if not checks:
        return ""
    rows = [
        [_outcome(c.outcome), plain(c.rule), plain(c.name), plain(c.value), plain(c.limit), plain(c.reason)]
        for c in sorted(checks, key=lambda check: check.outcome == "pass")
    ]
    passed = sum(1 for check in checks if check.outcome == "pass")
    head = ["outcome", "rule", "of", "value", "limit", "reason"]
    return details(f"Gate: {passed} of {len(checks)} checks passed", table(head, rows))


def _drift(preview: Preview) -> str:
    rows = preview.candidate.drift if preview.candidate else ()
    if not rows:
        return ""
    head = ["feature", "role", "KS D", "p", "rows reference / current"]
    return details("Drift: the features that moved most", table(head, [list(map(plain, row)) for row in rows]))


def _scans(preview: Preview) -> str:
    scans = preview.candidate.scans if preview.candidate else ()
    if not scans:
        return ""
    rows = [[plain(name), _outcome(verdict), *map(plain, rest)] for name, verdict, *rest in scans]
    return "### Scans\n\n" + table(["scan", "verdict", "covered", "findings", "tool", "reason"], rows)


def _infrastructure(preview: Preview) -> str:
    changes = preview.plan.changes
    if not changes:
        return ""
    important = [change for change in changes if change.impact != "none"]
    parts = ["### Infrastructure"]
    if important:
        parts.append("\n".join(f"- {_important(change)}" for change in important[:_REASONS]))
    for operation in _OPERATIONS:
        group = [change for change in changes if change.operation == operation]
        if group:
            rows = [[plain(change.kind), code(change.name), "<br>".join(_differences(change))] for change in group]
            parts.append(details(f"{len(group)} to {operation}", table(["kind", "name", "what changes"], rows)))
    return "\n\n".join(parts)


def _important(change: Change) -> str:
    label = {"traffic": "**Traffic**", "data": "**Data is lost**", "release": "Release"}[change.impact]
    notes = "; ".join(_note_lines(change)) or f"{change.operation}d" if change.operation != "other" else "changes"
    return f"{label}: {plain(change.kind)} {code(change.name)} ({change.operation}): {notes}"


def _note_lines(change: Change) -> Iterator[str]:
    for note in change.notes:
        before, after = (code(_short(value)) if value else "none" for value in (note.before, note.after))
        yield f"{plain(note.field)} {before} → {after}"


def _short(value: str) -> str:
    """A digest by its first twelve characters, as everywhere else."""
    head, mark, digest = value.rpartition("@sha256:")
    return f"{head.rpartition('/')[2]}{mark}{digest[:12]}" if mark else _DIGEST.sub(lambda hit: hit[0][:12], value)


def _differences(change: Change) -> Sequence[str]:
    shown = [*_note_lines(change), *(code(path) for path in change.paths[:_REASONS])][:_REASONS]
    more = len(change.notes) + len(change.paths) - len(shown)
    return [*shown, f"and {more} more"] if more > 0 else shown


def _policies(preview: Preview) -> str:
    findings = [finding for level in ("mandatory", "advisory", "unchecked") for finding in _at(level, preview.plan)]
    if not findings:
        return ""
    rows = [[plain(f.level), code(f.policy), code(f.resource), plain(f.message)] for f in findings]
    return details(f"Policy findings: {len(findings)}", table(["level", "policy", "resource", "message"], rows))


def _at(level: str, plan: Plan) -> list[Finding]:
    return [finding for finding in plan.findings if finding.level == level]


def _errors(preview: Preview) -> str:
    if not preview.plan.errors:
        return ""
    text = "\n\n".join(preview.plan.errors)
    return details(f"Errors: {len(preview.plan.errors)}", block(text, _ERROR_CHARACTERS))
