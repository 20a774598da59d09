"""The child process of the secret scan: `python -m ml.security.secret_files REQUEST` prints what stands in which file.

A process of its own, because detect-secrets keeps its settings for the whole process. The request is a JSON file with
`root`, `files` and the baseline's `settings`. Nothing found is printed, only its hash; nothing is sent anywhere.
"""

import json
import multiprocessing
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# By file name it would skip .svg, .css, .lock and .sum, which are text; we look at the content instead.
_BY_NAME = "detect_secrets.filters.heuristic.is_non_text_file"
_FEW = 8  # files for which starting a second process costs more than it saves


def main(request: Path) -> None:
    """Print `{"found": {file: [[type, hash, line], ...]}, "binary": [file, ...]}`."""
    asked = json.loads(request.read_text(encoding="utf-8"))
    root, files, settings = Path(asked["root"]), list(asked["files"]), asked["settings"]
    os.chdir(root)  # detect-secrets names files as it is given them
    text = [name for name in files if _is_text(Path(name))]
    if len(text) <= _FEW:
        _configure(settings)
        results = list(map(_scan, text))
    else:
        with multiprocessing.Pool(initializer=_configure, initargs=(settings,)) as pool:
            results = pool.map(_scan, text, chunksize=8)
    print(json.dumps({"found": dict(zip(text, results, strict=True)), "binary": sorted({*files} - {*text})}))


def _is_text(path: Path) -> bool:
    """Whether the whole file is UTF-8, which is what detect-secrets reads; a zero byte is in no text."""
    content = path.read_bytes()
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return b"\0" not in content


def _configure(settings: Mapping[str, Any]) -> None:
    from detect_secrets.settings import configure_settings_from_baseline  # noqa: PLC0415  (only a child needs it)

    configure_settings_from_baseline(dict(settings)).disable_filters(_BY_NAME)


def _scan(name: str) -> list[list[Any]]:
    from detect_secrets.core.scan import scan_file  # noqa: PLC0415

    lines = {(found.type, found.secret_hash, found.line_number) for found in scan_file(name)}
    return [list(line) for line in sorted(lines)]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
