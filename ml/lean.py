"""Libraries without optional parts of theirs that nothing here uses and whose import takes seconds."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

FORMATS: Final = ("rfc3987_syntax", "isoduration")
"""Of jsonschema: formats that no record has. The first compiles a grammar, a second and a half on two idle cores."""


@contextmanager
def without(*names: str) -> Iterator[None]:
    """While the block lasts these modules cannot be imported, unless they have been; a library then does without."""
    absent = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # None says "not installed", see importlib
    try:
        yield
    finally:
        for name in absent:
            sys.modules.pop(name, None)
