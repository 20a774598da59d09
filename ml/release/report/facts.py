"""From a record to what the report's tables show. Pure; takes sections that are missing as said to be missing."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ml.gate.metrics import METRICS, is_number
from ml.gate.reasons import REASONS, Reason
from ml.gate.rules.champion import margin_of
from ml.gate.words import lines
from ml.training.months import span

Z95: Final = 1.959963984540054
_DISTANCES: Final = ("d", "tv")
_STATISTICS: Final = (*_DISTANCES, "wasserstein", "psi", "p")  # what a reviewer reads; the record has the rest
MANY: Final = 12  # rows of a table that a reader still takes in; the record has them all


def verdict_words(record: Mapping[str, Any]) -> str:
    """What the verdict means for whoever wants to deploy the release."""
    against = record["champion"]
    judged = f"judged against {against['release']}, which was live" if against else "judged without a champion"
    return {
        "pass": f"May take traffic: every check passed, {judged}.",
        "fail": f"Must not take traffic: at least one check failed, {judged}.",
        "inconclusive": f"Takes no traffic: the evidence does not decide, {judged}.",
    }[record["gate"]["verdict"]]


def reasons(record: Mapping[str, Any]) -> list[dict[str, str]]:
    """Every check that did not simply pass, the failed ones first, in words."""
    rank = {"fail": 0, "inconclusive": 1, "pass": 2}
    found = [check for check in record["gate"]["checks"] if check["reason"] != "ok"]
    sentences = {line.metric: line.words for line in lines(record)}
    return [
        {
            "outcome": check["outcome"],
            "what": f"{check['rule']} {check['name']}",
            "numbers": (check["rule"] == "champion" and sentences.get(check["name"]))
            or f"{number(check['value'])} against {number(check['limit'])}",
            "words": _words(check["reason"]),
        }
        for check in sorted(found, key=lambda check: rank.get(check["outcome"], 0))
    ]


def metrics(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each metric: its interval, the champion's value, the difference, what it was held against, the outcome."""
    champion = mapping(record["champion"])
    theirs, paired = mapping(champion.get("metrics")), mapping(champion.get("paired"))
    intervals = mapping(mapping(record.get("evaluation")).get("intervals"))
    checks = record["gate"]["checks"]
    proven = {line.metric: f"champion: {line.proven}" for line in lines(record) if line.proven}
    return [
        {
            "name": name,
            "better": "higher" if name in METRICS and METRICS[name].higher_is_better else "lower",
            "value": number(value),
            "interval": interval(mapping(intervals.get(name))),
            "champion": number(theirs.get(name)) if theirs else "",
            "difference": difference(mapping(paired.get(name)), value, theirs.get(name)),
            "limits": [
                (check["rule"] == "champion" and proven.get(name)) or f"{check['rule']} {number(check['limit'])}"
                for check in checks
                if check["name"] == name and is_number(check["limit"])
            ],
            "outcome": worst([check["outcome"] for check in checks if check["name"] == name]),
        }
        for name, value in sorted(record["metrics"].items())
    ]


def compared(record: Mapping[str, Any]) -> list[tuple[str, float, float, float | None]]:
    """Metric, difference in the direction that is better, its standard error, and the allowed loss, for the picture."""
    champion = mapping(record["champion"])
    found = []
    for name, pair in sorted(mapping(champion.get("paired")).items()):
        change, error = mapping(pair).get("difference"), mapping(pair).get("standard_error")
        if name in METRICS and is_number(change) and is_number(error):
            sign = 1 if METRICS[name].higher_is_better else -1
            margin = _margin(record, name)
            found.append((name, sign * change, error, margin))
    return found


def slices(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The slices, the worst of each column first; each with the rows it was judged on."""
    section = mapping(mapping(record.get("evaluation")).get("slices"))
    metric = str(section.get("metric", ""))
    higher = metric not in METRICS or METRICS[metric].higher_is_better
    found = []
    for column, items in sorted(mapping(section.get("columns")).items()):
        usable = [item for item in sequence(items) if is_number(mapping(item).get("estimate"))]
        usable.sort(key=lambda item: item["estimate"], reverse=not higher)
        found += [
            {
                "column": column,
                "value": str(item.get("value")),
                "rows": number(item.get("rows")),
                "metric": metric,
                "estimate": number(item["estimate"]),
                "interval": interval(item),
            }
            for item in usable[:MANY]
        ]
    return found


def drift(record: Mapping[str, Any]) -> tuple[list[str], list[dict[str, Any]]]:
    """The statistics that were measured, and what of: gated ones first, then by how far they moved."""
    section = record["drift"]
    features = {name: mapping(item) for name, item in mapping(section.get("features")).items()}
    answers = {f"the model's {name}": mapping(item) for name, item in mapping(section.get("prediction")).items()}
    outcomes = {check["name"]: check["outcome"] for check in record["gate"]["checks"] if check["rule"] == "drift"}
    every = {**answers, **features}
    columns = [key for key in _STATISTICS if any(is_number(item.get(key)) for item in every.values())]
    ranked = sorted(every.items(), key=lambda pair: (pair[1].get("role") != "gate", -_moved(pair[1]), pair[0]))
    return columns, [
        {
            "name": name,
            "role": str(item.get("role", "")),
            "kind": str(item.get("kind", "")),
            "numbers": [number(item.get(column)) for column in columns],
            "outcome": outcomes.get(name, ""),
        }
        for name, item in ranked
    ]


def scans(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each scan: by what, how much of its subject it covered, and what it found."""
    return [
        {
            "name": name,
            "outcome": scan["verdict"],
            "tool": f"{scan['tool']} {scan['version']}",
            "coverage": f"{scan['covered']:,} of {scan['total']:,}",
            "database": scan.get("database_date") or "",
            "reason": scan["reason"],
            "findings": [str(finding) for finding in sequence(scan.get("findings"))[:MANY]],
            "more": max(0, len(sequence(scan.get("findings"))) - MANY),
        }
        for name, scan in sorted(record["scans"].items())
    ]


def lineage(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Where the model comes from, as name and value."""
    data, code, model = record["data"], record["code"], record["model"]
    found = [
        ("source", data["source"]),
        ("snapshot", data["snapshot_sha256"]),
        *((part, span(data[part])) for part in ("train", "test")),
        ("dropped", ", ".join(f"{count:,} {why}" for why, count in sorted(data["dropped"].items())) or "none"),
        ("commit", f"{code['commit'] or 'none'}{' with uncommitted changes' if code['dirty'] else ''}"),
        ("source tree", code["tree_sha256"]),
        ("locked packages", record["lock_sha256"]),
        ("python", record["environment"]["python"]),
        ("packages", ", ".join(f"{name} {one}" for name, one in sorted(record["environment"]["packages"].items()))),
        ("model", f"{model['bytes']:,} bytes, ONNX opset {model['opset']}"),
        ("parity", f"at most {number(model['parity_max_abs_diff'])} on {model['parity_rows']:,} rows"),
        ("parameters", ", ".join(f"{name}={short(value)}" for name, value in sorted(record["parameters"].items()))),
    ]
    search = mapping(record.get("search"))
    found += [(f"search: {name}", short(value)) for name, value in sorted(search.items())]
    return found + [(f"file {name}", digest) for name, digest in sorted(record["files"].items())]


def number(value: object) -> str:
    """Four significant digits; thousands of a whole number are set apart; what is no number as it stands."""
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else short(value)


def interval(item: Mapping[str, Any]) -> str:
    """The two ends, or nothing where they are not known."""
    low, high = item.get("low"), item.get("high")
    return f"{number(low)} to {number(high)}" if is_number(low) and is_number(high) else ""


def difference(pair: Mapping[str, Any], ours: object, theirs: object) -> str:
    """Candidate minus champion, with its 95 % interval where the rows were paired."""
    change, error = pair.get("difference"), pair.get("standard_error")
    if is_number(change) and is_number(error):
        return f"{change:+.4f} ({change - Z95 * error:+.4f} to {change + Z95 * error:+.4f})"
    return f"{ours - theirs:+.4f}" if is_number(ours) and is_number(theirs) else ""


def worst(outcomes: Sequence[str]) -> str:
    """The outcome that decides among several; empty when nothing was checked."""
    return next((one for one in ("fail", "inconclusive", "pass") if one in outcomes), "")


def mapping(value: object) -> Mapping[str, Any]:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def sequence(value: object) -> Sequence[Any]:
    """The value if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def short(value: object, limit: int = 200) -> str:
    """The value as text of bounded length."""
    text = ", ".join(_pairs(value)) if isinstance(value, Mapping) else str(value)
    return text if len(text) <= limit else f"{text[:limit]}…"


def _pairs(value: Mapping[str, Any]) -> Iterator[str]:
    return (f"{key} {number(item)}" for key, item in sorted(value.items()))


def _words(reason: str) -> str:
    return REASONS.get(Reason(reason), reason) if reason in set(Reason) else reason


def _margin(record: Mapping[str, Any], name: str) -> float | None:
    """How much worse than the champion the policy allows; None where it does not say."""
    policy, theirs = record["gate"]["policy"], mapping(mapping(record["champion"]).get("metrics")).get(name)
    if policy["preset"] == "classic":
        rule = policy["classic"]
        return float(rule["max_drops"].get(name, rule["max_drop"]))
    return margin_of(name, theirs, policy) if is_number(theirs) else None


def _moved(item: Mapping[str, Any]) -> float:
    """A distance between 0 and 1, of numbers or of categories; -1 where none was measured."""
    return next((value for key in _DISTANCES if is_number(value := item.get(key))), -1.0)
