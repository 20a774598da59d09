import os
import socket
from pathlib import Path

import pytest

from ml.errors import SurroundingsError
from toolchain.cluster import host, ports
from toolchain.cluster.component import Component

HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
ROW = "   0: {address} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000     0        0 4242 1 0 100 0 0\n"


def listeners(address: str, state: str = "0A") -> list[ports.Listener]:
    return list(ports.parse_listeners(HEADER + ROW.format(address=address, state=state)))


@pytest.mark.parametrize(
    ("address", "blocked"),
    [
        ("0100007F:1388", True),  # 127.0.0.1:5000
        ("00000000:1388", True),  # 0.0.0.0:5000
        ("00000000000000000000000000000000:1388", True),  # [::]:5000
        ("0000000000000000FFFF00000100007F:1388", True),  # [::ffff:127.0.0.1]:5000
        ("00000000000000000000000001000000:1388", False),  # [::1]:5000
        ("0200007F:1388", False),  # 127.0.0.2:5000
        ("0100007F:1389", False),
    ],
)
def test_which_listeners_are_in_the_way(address: str, *, blocked: bool) -> None:
    assert bool(ports.conflicts([("registry", "127.0.0.1", 5000)], listeners(address))) is blocked


def test_a_connection_is_no_listener() -> None:
    assert listeners("0100007F:1388", state="01") == []


def component(port: int) -> Component:
    return Component(name="registry", serves="", argv=("x",), ports=(("127.0.0.1", port),), probe=lambda: False)


def test_a_taken_port_names_the_port_its_holder_and_who_needs_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(SurroundingsError) as caught:
            host.check_ports([component(port)])

    name = Path("/proc/self/comm").read_text().strip()
    assert caught.value.code == "ML-CLUSTER-005"
    assert f"127.0.0.1:{port} (needed by registry) is held by {name} (pid {os.getpid()})" in caught.value.message


def test_a_free_port_is_no_problem() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    host.check_ports([component(port)])
