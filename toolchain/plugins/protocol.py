"""The messages between engine and language host, without the SDK that they come with.

`import pulumi.runtime.proto` loads all of `pulumi` first: more than half of the time in which the host comes up, twice
in every command. The host needs only the messages, so the packages around them are stood in for while they load.
"""

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType


@contextmanager
def _bare_packages() -> Iterator[None]:
    """Empty packages in place of `pulumi` and `pulumi.runtime`, unless the real ones are there already."""
    if "pulumi" in sys.modules:
        yield
        return
    found = importlib.util.find_spec("pulumi")
    root = Path(next(iter((found.submodule_search_locations if found else None) or [])))
    for name, place in (("pulumi", root), ("pulumi.runtime", root / "runtime")):
        bare = ModuleType(name)
        bare.__path__ = [str(place)]
        sys.modules[name] = bare
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "pulumi"]:
            del sys.modules[name]


with _bare_packages():
    from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

__all__ = ["language_pb2", "language_pb2_grpc", "plugin_pb2"]
