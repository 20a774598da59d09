"""What several commands show: the step that is running, a release's verdict and its table."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ml.errors import UsageError
from ml.gate.reasons import REASONS
from ml.gate.words import Line, lines
from ml.preview.markdown import code, plain, table
from ml.release.diff import Change
from ml.release.ledger import Entry
from ml.release.signing import moment
from ml.training.months import span

_STYLES = {"pass": "green", "fail": "red", "inconclusive": "yellow"}


@contextmanager
def steps() -> Iterator[Callable[[str], None]]:
    """Names the step that is running, on standard error: on a terminal with a spinner, in a log one line a step."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda step: console.print(step, soft_wrap=True, markup=False, highlight=False)
        return
    with console.status("start") as status:
        yield lambda step: status.update(escape(step))


def show_record(record: Mapping[str, Any]) -> None:
    """Verdict first, then every check with the champion beside it, then what explains the verdict."""
    console = Console(highlight=False)
    gate, champion = record["gate"], record["champion"]
    verdict = gate["verdict"]
    against = f"against {champion['release']}" if champion else "bootstrap: absolute floors only"
    console.print(f"[bold {_STYLES[verdict]}]{verdict.upper()}[/] {record['release']} ({against})", soft_wrap=True)
    train, test = record["data"]["train"], record["data"]["test"]
    console.print(
        f"trained on {span(train)}, judged on {span(test)}",
        soft_wrap=True,
    )
    table = Table()
    for name, side in (("check", "left"), ("of", "left"), ("value", "right"), ("limit", "right"), ("outcome", "left")):
        table.add_column(name, justify="right" if side == "right" else "left")
    for check in gate["checks"]:
        words = check["outcome"] if check["reason"] == "ok" else f"{check['outcome']}: {check['reason']}"
        cells = (check["rule"], check["name"], number(check["value"]), number(check["limit"]))
        table.add_row(*map(escape, cells), f"[{_STYLES[check['outcome']]}]{escape(words)}[/]")
    console.print(table)
    found = lines(record)
    _show_comparison(console, found)
    unproven = {c["name"] for c in gate["checks"] if c["rule"] == "champion" and c["outcome"] != "pass"}
    for line in found:
        if line.words and line.metric in unproven:
            console.print(line.words, soft_wrap=True, markup=False)
    for reason in sorted({check["reason"] for check in gate["checks"] if check["reason"] != "ok"}):
        console.print(f"{reason}: {REASONS[reason]}", soft_wrap=True, markup=False)


def _show_comparison(console: Console, found: list[Line]) -> None:
    """How sure the metrics are; with a champion also the worst difference still possible beside the margin."""
    if not any(line.interval or line.difference for line in found):
        return
    table = Table()
    against = any(line.difference for line in found)
    heads = ("metric", "value", "95 % interval", *(("champion", "change", "at worst", "allowed") if against else ()))
    for head in heads:
        table.add_column(head, justify="left" if head == "metric" else "right")
    for line in found:
        compared = (line.champion, line.difference, line.at_worst, line.margin) if against else ()
        table.add_row(escape(line.metric), line.value, line.interval, *compared)
    console.print(table)
    for line in found:
        if line.power:
            console.print(f"{line.metric}: {line.power}", soft_wrap=True, markup=False)


def number(value: object) -> str:
    """A value of a check, four significant digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def markdown(record: Mapping[str, Any]) -> str:
    """The same as Markdown."""
    gate, champion = record["gate"], record["champion"]
    against = f"against {champion['release']}" if champion else "bootstrap: absolute floors only"
    written = [
        f"# {gate['verdict'].upper()}: {record['release']}",
        "",
        f"Judged {against}, on {record['data']['test']['rows']:,} rows. Digest `{record['digest']}`.",
        "",
        "| check | of | value | limit | outcome | reason |",
        "|---|---|---:|---:|---|---|",
    ]
    for check in gate["checks"]:
        cells = (check["rule"], check["name"], number(check["value"]), number(check["limit"]), check["outcome"])
        written.append(f"| {' | '.join(cells)} | {check['reason']} |")
    return "\n".join([*written, *_comparison(lines(record))])


def _comparison(found: list[Line]) -> list[str]:
    head = "| metric | value | 95 % interval | champion | change | at worst | allowed | power |"
    rows = [
        f"| {line.metric} | {line.value} | {line.interval} | {line.champion} | {line.difference} | {line.at_worst} "
        f"| {line.margin} | {line.power} |"
        for line in found
        if line.interval or line.difference
    ]
    return ["", head, "|---|---:|---:|---:|---:|---:|---:|---|", *rows] if rows else []


def show_diff(before: str, after: str, changes: Sequence[Change]) -> None:
    """What changed between two releases, section by section."""
    console = Console(highlight=False)
    if not changes:
        console.print(f"{before} and {after} do not differ", soft_wrap=True, markup=False)
        return
    shown = Table()
    for name in ("section", "what", before, after, "change"):
        # On a narrow screen names of people give way: when, which and what are what one has come for.
        shown.add_column(name, no_wrap=name != "who", overflow="fold")
    for item in changes:
        shown.add_row(*map(escape, (item.section, item.name, item.before, item.after, item.change)))
    console.print(shown)


def diff_markdown(before: str, after: str, changes: Sequence[Change]) -> str:
    """The same as Markdown."""
    if not changes:
        return f"{code(before)} and {code(after)} do not differ"
    rows = [
        (plain(item.section), plain(item.name), plain(item.before), plain(item.after), plain(item.change))
        for item in changes
    ]
    return table(("section", "what", code(before), code(after), "change"), rows)


def show_history(stack: str, entries: Sequence[Entry]) -> None:
    """A stack's ledger, the newest last, and the hash that tells whether it was cut off."""
    console = Console(highlight=False)
    if not entries:
        console.print(f"nothing was ever live in {stack}, by its ledger", soft_wrap=True, markup=False)
        return
    shown = Table()
    for name in ("#", "since (UTC)", "release", "slot", "what", "who", "commit"):
        # On a narrow screen names of people give way: when, which and what are what one has come for.
        shown.add_column(name, no_wrap=name != "who", overflow="fold")
    for entry in entries:
        cells = (
            str(entry.seq),
            entry.time.replace("T", " ").removesuffix("Z"),
            entry.release,
            entry.slot,
            entry.event,
            entry.who,
            (entry.commit or "")[:7],
        )
        shown.add_row(*map(escape, cells))
    console.print(shown)
    console.print(f"the chain holds; hash of entry {entries[-1].seq}: {entries[-1].hash}", soft_wrap=True, markup=False)


def moment_of(text: str) -> str:
    """A time that a person typed, as records and the ledger hold it.

    Raises:
        UsageError: If it is none.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        message = f"time {text!r}: must be a date or a time such as 2026-11-24T10:30:00Z"
        raise UsageError("ML-REL-154", message, "mlp release history") from error
    return moment(found if found.tzinfo is not None else found.replace(tzinfo=UTC))
