"""The Pulumi stacks of this home that describe its local cluster. Their state must not outlive it."""

import json
from pathlib import Path


def forget(state: Path, kubeconfig: Path) -> list[str]:
    """Remove the local state of every stack that was deployed with `kubeconfig`; stacks of other clusters stay.

    A state without its cluster would make the next `pulumi up` find nothing to do.

    Args:
        state: The file backend's folder.
        kubeconfig: The cluster's own; each stack's provider holds its path.

    Returns:
        The stacks' names, sorted.
    """
    path = json.dumps(str(kubeconfig))
    gone = [file for file in (state / ".pulumi" / "stacks").glob("*/*.json") if path in file.read_text()]
    for file in gone:
        for part in file.parent.glob(f"{file.name}*"):
            part.unlink()
    return sorted(file.stem for file in gone)
