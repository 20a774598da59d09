"""The shape of a release record and of a gate policy: the JSON Schemas in `schema/`, one file a section.

Says where a value breaks its rule and never raises, whatever JSON it is given. Called by `ml.release.proof`. The model
server has no validator and never comes here: it asks `ml.release.record` whether the record is as it was sealed.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

from ml.gate.metrics import is_number
from ml.lean import FORMATS, without
from ml.release.record import short

SCHEMA: Final = "ml-pipeline/release/v2"
"""What every record says."""
FOLDER: Final = Path(__file__).with_name("schema")


@dataclass(frozen=True, kw_only=True, slots=True)
class Flaw:
    """One value that breaks its rule. `kind` is missing, unknown or wrong."""

    path: str
    kind: str
    message: str


def record_flaws(record: object) -> list[Flaw]:
    """Every field of a record that is missing, unknown or of the wrong shape."""
    return _flaws("record.json", "record", record)


def policy_flaws(policy: object) -> list[Flaw]:
    """Every field of a gate policy that is missing, unknown or of the wrong shape."""
    return _flaws("policy.json", "gate.policy", policy)


def key_flaws(key: object) -> list[Flaw]:
    """Every field of a committed public key that is missing, unknown or of the wrong shape."""
    return _flaws("key.json", "key", key)


def envelope_flaws(envelope: object) -> list[Flaw]:
    """Every field of a signature's envelope that is missing, unknown or of the wrong shape."""
    return _flaws("envelope.json", "envelope", envelope)


def ledger_flaws(entry: object) -> list[Flaw]:
    """Every field of an entry of the release ledger that is missing, unknown or of the wrong shape."""
    return _flaws("ledger.json", "entry", entry)


def _flaws(file: str, name: str, value: object) -> list[Flaw]:
    try:
        found = [_flaw(name, error) for error in _validator(file).iter_errors(value)]
    except RecursionError:
        return [Flaw(path=name, kind="wrong", message=f"{name}: nests deeper than any record")]
    return list(dict.fromkeys(found))  # a value may break two rules that have the same words


def _flaw(name: str, error: Any) -> Flaw:
    path = name + "".join(map(_step, error.absolute_path))
    if error.validator in ("required", "additionalProperties"):
        kind = "missing" if error.validator == "required" else "unknown"
        return Flaw(path=path, kind=kind, message=f"{path}: {error.message}")
    words = error.schema.get("description") if isinstance(error.schema, Mapping) else None
    rule = words or _rule(error.validator, error.validator_value)
    return Flaw(path=path, kind="wrong", message=f"{path}={short(error.instance)}: must be {rule}")


def _step(key: str | int) -> str:
    return f".{key}" if isinstance(key, str) and re.fullmatch(r"[a-z_]\w*", key) else f"[{short(key)}]"


def _rule(keyword: str, limit: Any) -> str:
    """Words for a rule whose schema has none."""
    if keyword == "type":
        names = {"object": "an object", "array": "a list", "null": "null"}
        kinds = [limit] if isinstance(limit, str) else limit
        return " or ".join(names.get(kind, f"a {kind}") for kind in kinds)
    words = {"minProperties": "an object with at least {} entry", "minItems": "a list with at least {} entry"}
    return words.get(keyword, f"{keyword} {{}}").format(short(limit))


@cache
def _validator(file: str) -> Any:
    """The validator of one schema file; made once a process."""
    with without(*FORMATS):
        import jsonschema  # noqa: PLC0415  (a tenth of a second that a command without a record does not need)

    base = jsonschema.Draft202012Validator
    types = base.TYPE_CHECKER.redefine_many({"number": _is_number, "integer": _is_integer})
    keywords = {"required": _required, "additionalProperties": _additional, "pattern": _pattern}
    keywords |= {"enum": _enum, "type": _type}
    formats = jsonschema.FormatChecker(formats=())
    formats.checks("date-time", raises=ValueError)(lambda text: not isinstance(text, str) or _is_moment(text))
    formats.checks("date", raises=ValueError)(lambda text: not isinstance(text, str) or bool(date.fromisoformat(text)))
    extend: Any = jsonschema.validators.extend  # its annotations are incomplete
    strict = extend(base, keywords, type_checker=types)
    contents = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in FOLDER.glob("*.json")}
    return strict(_whole(contents[file], file, contents), format_checker=formats)


def _whole(schema: Any, file: str, contents: Mapping[str, Any]) -> Any:
    """A schema with what it refers to in place of each reference: looking them up is most of what a check would cost.

    None of ours refers to itself, nor says anything beside a reference but its title.
    """
    if isinstance(schema, list):
        return [_whole(part, file, contents) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    if "$ref" in schema:
        name, _, pointer = schema["$ref"].partition("#")
        target = contents[name or file]
        for key in pointer.split("/")[1:]:
            target = target[key]
        return _whole(target, name or file, contents)
    # With "$schema" the library would leave our keywords for its own; the definitions now stand where they are used.
    return {key: _whole(part, file, contents) for key, part in schema.items() if key not in ("$schema", "$id", "$defs")}


def _is_number(_checker: object, value: object) -> bool:
    return is_number(value)


def _is_integer(_checker: object, value: object) -> bool:
    return is_number(value) and isinstance(value, int)


def _is_moment(text: str) -> bool:
    return datetime.fromisoformat(text) is not None


# The keywords below differ from the library's in what an error carries (the name of the field, for the path), and in
# that no message ever holds a value's whole `repr`.


def _required(_validator: Any, names: list[str], value: Any, _schema: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from (_error("is missing", path=(name,)) for name in names if name not in value)


def _additional(validator: Any, rule: Any, value: Any, schema: Any) -> Iterator[Any]:
    if not isinstance(value, dict):
        return
    for name in value.keys() - schema.get("properties", {}).keys():
        if rule is False:
            yield _error(f"is not a field of {SCHEMA}", path=(name,))
        else:
            yield from validator.descend(value[name], rule, path=name)


def _pattern(_validator: Any, pattern: str, value: Any, _schema: Any) -> Iterator[Any]:
    # In a schema's expressions $ is the very end; in Python's it would also match before a last line break.
    if isinstance(value, str) and not re.fullmatch(pattern.removeprefix("^").removesuffix("$"), value):
        yield _error("does not match")


def _enum(_validator: Any, allowed: list[str], value: Any, _schema: Any) -> Iterator[Any]:
    if not isinstance(value, str) or value not in allowed:
        yield _error("is not one of them")


def _type(validator: Any, kinds: str | list[str], value: Any, _schema: Any) -> Iterator[Any]:
    if not any(validator.is_type(value, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds)):
        yield _error("is of another type")


def _error(message: str, path: tuple[str, ...] = ()) -> Any:
    from jsonschema.exceptions import ValidationError  # noqa: PLC0415  (loaded by then)

    return ValidationError(message, path=path)
