"""What serving pods know of API keys: the SHA-256 of each in hex, one a line, as `ml.serving.keys` reads it. Pure."""

import hashlib
from collections.abc import Iterable, Mapping

from infra.names import API_KEY_FIELD, API_KEY_NEXT_FIELD, API_KEY_PREVIOUS_FIELD


def hash_lines(keys: Iterable[str]) -> str:
    """The file for these keys."""
    return "".join(f"{hashlib.sha256(key.encode()).hexdigest()}\n" for key in keys)


def all_keys(values: Mapping[str, str]) -> list[str]:
    """Every key in the Secret of the key, also those of a rotation that is not over."""
    fields = (API_KEY_FIELD, API_KEY_NEXT_FIELD, API_KEY_PREVIOUS_FIELD)
    return [values[field] for field in fields if values.get(field)]
