"""Bridge, masquerading and a guard, made by `up` and removed without a trace by `delete`.

All rules of ours live in chains named MLP-*. kube-proxy's and the kubelet's live in KUBE-*.
"""

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from ml.errors import SurroundingsError
from toolchain.cluster.layout import BRIDGE, NODE_IP, POD_CIDR

TIMEOUT_S: Final = 30
FORWARDING: Final = Path("/proc/sys/net/ipv4/ip_forward")
OWN: Final = re.compile(r"(MLP|KUBE)-[A-Z0-9-]+")

# Hook first, so that a firewall's own DROP policy for forwarded packets (Docker's, say) does not cut pods off.
HOOKS: Final = (
    ("nat", "POSTROUTING", "MLP-POSTROUTING"),
    ("filter", "INPUT", "MLP-INPUT"),
    ("filter", "FORWARD", "MLP-FORWARD"),
    ("filter", "OUTPUT", "MLP-OUTPUT"),
)
# kube-proxy's, with a refusal for each NodePort whose Service has no endpoint. It looks there when packets come in;
# on the loopback the kernel has by then remembered the connection as one without translation, and a client that uses
# the same port again within two minutes is refused although there are endpoints. Looking there when packets go out
# refuses before anything is remembered.
REFUSALS: Final = "KUBE-EXTERNAL-SERVICES"
RULES: Final = f"""\
*nat
:MLP-POSTROUTING - [0:0]
-A MLP-POSTROUTING -s {POD_CIDR} ! -d {POD_CIDR} -j MASQUERADE
COMMIT
*filter
:MLP-INPUT - [0:0]
:MLP-FORWARD - [0:0]
:MLP-OUTPUT - [0:0]
-A MLP-INPUT -i lo -j RETURN
-A MLP-INPUT -i {BRIDGE} -j RETURN
-A MLP-INPUT -d {NODE_IP}/32 -j DROP
-A MLP-FORWARD -i {BRIDGE} -j ACCEPT
-A MLP-FORWARD -o {BRIDGE} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A MLP-FORWARD -o {BRIDGE} -j DROP
-A MLP-OUTPUT -o lo -m conntrack --ctstate NEW -j {REFUSALS}
COMMIT
"""


def ensure() -> None:
    """Bridge with its address, forwarding, our rules; safe to repeat.

    Raises:
        SurroundingsError: the machine does not allow one of them.
    """
    if not Path(f"/sys/class/net/{BRIDGE}").exists():
        _run("ip", "link", "add", BRIDGE, "type", "bridge")
    _run("ip", "address", "replace", f"{NODE_IP}/24", "dev", BRIDGE)
    _run("ip", "link", "set", BRIDGE, "up")
    FORWARDING.write_text("1")
    _succeeds("iptables", "--wait", "10", "-N", REFUSALS)  # kube-proxy may not have run yet, or has made it
    _run("iptables-restore", "--wait", "10", "--noflush", text=RULES)
    for table, hook, chain in HOOKS:
        if not _succeeds("iptables", "--wait", "10", "-t", table, "-C", hook, "-j", chain):
            _run("iptables", "--wait", "10", "-t", table, "-I", hook, "1", "-j", chain)


def remove(*, forwarding: bool) -> None:
    """Take every rule of ours, kube-proxy's and the kubelet's, the pods' links and the bridge away."""
    for family in ("iptables", "ip6tables"):
        saved = subprocess.run(
            [f"{family}-save"], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        ).stdout
        script = removal(saved.splitlines())
        if script:
            _run(f"{family}-restore", "--wait", "10", "--noflush", text=script)
    for port in sorted(Path(f"/sys/class/net/{BRIDGE}/brif").glob("*")):
        _succeeds("ip", "link", "delete", port.name)
    _succeeds("ip", "link", "delete", BRIDGE)
    if not forwarding:
        FORWARDING.write_text("0")


def forwarding_enabled() -> bool:
    """Whether the machine forwards packets; remembered before the first `up` changes it."""
    return FORWARDING.read_text().strip() == "1"


def removal(saved: Iterable[str]) -> str:
    """What to feed `iptables-restore --noflush` to remove our chains from `iptables-save`'s output; "" for nothing.

    Only chains named MLP-* or KUBE-* and the jumps to them go; somebody else's rules are not even repeated.
    """
    script: list[str] = []
    table: list[str] = []
    deletions: list[str] = []
    chains: list[str] = []
    for line in saved:
        if line.startswith("*"):
            table, deletions, chains = [line], [], []
        elif line.startswith(":") and OWN.fullmatch(line[1:].split()[0]):
            chains.append(line[1:].split()[0])
        elif line.startswith("-A "):
            words = line.split()
            jumps = [words[index + 1] for index, word in enumerate(words[:-1]) if word in {"-j", "-g"}]
            if not OWN.fullmatch(words[1]) and any(OWN.fullmatch(target) for target in jumps):
                deletions.append("-D" + line[2:])
        elif line == "COMMIT" and (chains or deletions):
            flush = [f":{chain} - [0:0]" for chain in chains]
            script += [*table, *flush, *deletions, *(f"-X {chain}" for chain in chains), "COMMIT"]
    return "\n".join(script) + "\n" if script else ""


def _run(*argv: str, text: str | None = None) -> None:
    done = subprocess.run(argv, input=text, text=True, check=False, capture_output=True, timeout=TIMEOUT_S)
    if done.returncode != 0:
        raise SurroundingsError(
            "ML-CLUSTER-014",
            f"{' '.join(argv)} failed with exit code {done.returncode}: {done.stderr.strip()[-500:]}",
            fix="the machine must allow bridges and iptables rules (CAP_NET_ADMIN); a container often does not",
        )


def _succeeds(*argv: str) -> bool:
    return subprocess.run(argv, check=False, capture_output=True, timeout=TIMEOUT_S).returncode == 0
