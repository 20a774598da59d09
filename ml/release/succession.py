"""Whether a release was judged against what it takes the traffic from: the chain of champions, by digest.

"No worse than the champion" says nothing when the champion is not what is live: a release that was judged against a
weak old one, or against none, would pass. Two releases are linked when one names the other's digest as its champion, or
when committed records that verify lead there one by one, so that production may skip a release. The direction does not
matter: the link that let a release take the traffic also lets a rollback give it back.

Reads the checkout. Called by the Pulumi program and by the commands that edit a stack's slots.
"""

from collections.abc import Iterator
from pathlib import Path

from ml.errors import GateError, PipelineError
from ml.release.record import Problem
from ml.release.store import Release, verify


def problem(root: Path, live: Release, idle: Release) -> Problem | None:
    """Why `live` must not take the traffic while `idle` stands in the other slot; None when it may.

    Args:
        root: The checkout with all releases.
        live: The release that is to be live; it verifies.
        idle: What the other slot holds; it verifies.
    """
    if live.digest == idle.digest or _descends(root, live, idle) or _descends(root, idle, live):
        return None
    against = live.record["champion"]
    judged = f"against {against['release']}" if against else "without a champion"
    message = f"{live.id} was judged {judged}, and no chain of champions links it with {idle.id} in the other slot"
    return Problem(code="ML-REL-140", message=message)


def require(root: Path, live: Release, idle: Release) -> None:
    """Return if `problem` finds none.

    Raises:
        GateError: With the command that judges against the right champion.
    """
    found = problem(root, live, idle)
    if found is not None:
        raise GateError(found.code, found.message, f"mlp release create --champion {idle.id}")


def _descends(root: Path, release: Release, ancestor: Release) -> bool:
    return any(digest == ancestor.digest for digest in champions(root, release))


def champions(root: Path, release: Release) -> Iterator[str]:
    """Digests of the champions of a release, the nearest first; ends where a record is missing or refused."""
    seen: set[str] = set()
    champion = release.record["champion"]
    while champion is not None and champion["digest"] not in seen:
        yield champion["digest"]
        seen.add(champion["digest"])
        try:
            earlier = verify(root, champion["release"])
        except PipelineError:
            return
        if earlier.digest != champion["digest"]:
            return
        champion = earlier.record["champion"]
