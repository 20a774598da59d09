"""`python -m tests.e2e.matrix`: our rows of the fault matrix as they last went; exit 1 when one did not hold."""

import json
import sys
from collections.abc import Mapping
from typing import Any, Final

from tests.e2e.matrix.rows import FOLDER

ROWS: Final = (*range(1, 12), 13, 14, 17, 18, 19, 21, 29, *range(38, 47), 49, 51)


def table(results: Mapping[int, Mapping[str, Any]]) -> str:
    """One line a row, in the matrix's order; a row that was not run says so."""
    lines = []
    for number in ROWS:
        result = results.get(number, {"verdict": "not run", "fault": "", "seconds": ""})
        calls = f"{result['failures']} of {result['calls']} calls failed" if "calls" in result else ""
        lines.append(
            f"{number:>3}  {result['verdict']:<8} {result['seconds']!s:>6} s  {result['fault']}  {calls}".rstrip()
        )
    return "\n".join(lines)


def main() -> int:
    """Print the table; whether every row held."""
    results = {found["row"]: found for found in (json.loads(file.read_bytes()) for file in FOLDER.glob("row-*.json"))}
    print(table(results))
    return 0 if all(results.get(number, {}).get("verdict") == "held" for number in ROWS) else 1


if __name__ == "__main__":
    sys.exit(main())
