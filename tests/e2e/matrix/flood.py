"""Requests with numbers that are none, by the thousand. Only 127.0.0.1, bounded in number."""

import http.client
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

CELLS: Final = {
    "NaN": "NaN",
    "Infinity": "Infinity",
    "minus Infinity": "-Infinity",
    "1e999": "1e999",
    "the text NaN": '"NaN"',
    "a text": '"far"',
}
MARK: Final = "the cell that is replaced"
Answers = Counter[tuple[str, int, str]]
"""Name of the body, status, code of the error."""


def bodies(row: Sequence[Any], column: int, wide: int = 500) -> Mapping[str, bytes]:
    """A good row with one bad number, in every way that there is; and many rows whose column is all NaN."""
    marked = json.dumps([*row[:column], MARK, *row[column + 1 :]])
    found = {name: f'{{"features": {marked}}}'.replace(f'"{MARK}"', cell) for name, cell in CELLS.items()}
    found["a column of NaN"] = f'{{"instances": [{", ".join([marked] * wide)}]}}'.replace(f'"{MARK}"', "NaN")
    return {name: body.encode() for name, body in found.items()}


def flood(port: int, key: str, wanted: Mapping[str, bytes], rounds: int, at_once: int = 4) -> Answers:
    """Send each body `rounds` times over each of `at_once` connections; how often each got which answer."""
    with ThreadPoolExecutor(at_once) as pool:
        found = pool.map(lambda _: _one_client(port, key, wanted, rounds), range(at_once))
        return sum(found, Counter())


def _one_client(port: int, key: str, wanted: Mapping[str, bytes], rounds: int) -> Answers:
    seen: Answers = Counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for _ in range(rounds):
        for name, body in wanted.items():
            seen[name, *_answer(connection, key, body)] += 1
    connection.close()
    return seen


def _answer(connection: http.client.HTTPConnection, key: str, body: bytes) -> tuple[int, str]:
    """Status and code; 0 and the words of what came instead of an answer."""
    try:
        connection.request("POST", "/predict", body, {"X-API-Key": key, "Content-Type": "application/json"})
        response = connection.getresponse()
        answer = json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        connection.close()
        return 0, repr(error)
    return response.status, str(answer.get("error", {}).get("code", ""))
