"""The environment in which `pulumi`, `kubectl` and `docker` run; the same for our commands and for a person's shell.

What the user has set wins, with three exceptions: PATH gets `.venv/bin` in front, KUBECONFIG is always the cluster that
was named for this project (`MLP_KUBECONFIG`) or the local one, never whatever context a shell happens to hold, and
Python may keep what it has compiled.
"""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from toolchain import paths

DEFAULTS = {
    "PULUMI_HOME": "$home/pulumi",
    "PULUMI_BACKEND_URL": "file://$home/state",
    "PULUMI_OPTION_POLICY_PACK": "$repo/policies",
    "PULUMI_SKIP_UPDATE_CHECK": "true",
    "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
    "PULUMI_DISABLE_REGISTRY_RESOLVE": "true",
    # Compiled modules are kept, and not beside the sources: compiling the SDK's anew takes half of a preview's time.
    "PYTHONPYCACHEPREFIX": "$repo/.build/pycache",
    "MLP_CACHE": "$cache",
    "MLP_HOME": "$home",
}
NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"
SYSTEM_PATH = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin")


def pulumi_env(base: Mapping[str, str] | None = None) -> dict[str, str]:
    """The full environment for a child process.

    Args:
        base: The environment to start from; `os.environ` when not given.
    """
    env = dict(os.environ if base is None else base)
    where = {"$home": str(paths.home()), "$cache": str(paths.cache()), "$repo": str(paths.repo_root())}
    for name, value in DEFAULTS.items():
        for word, path in where.items():
            value = value.replace(word, path)  # noqa: PLW2901  (three short substitutions)
        env[name] = env.get(name) or value
    env.pop(NO_BYTECODE, None)
    if not env.get("PULUMI_CONFIG_PASSPHRASE"):
        # Set but empty, as CI systems do with a secret that is missing, the CLI would take it for the passphrase.
        env.pop("PULUMI_CONFIG_PASSPHRASE", None)
    if not (env.get("PULUMI_CONFIG_PASSPHRASE") or env.get("PULUMI_CONFIG_PASSPHRASE_FILE")):
        env["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(paths.home() / "passphrase")
    env["KUBECONFIG"] = env.get("MLP_KUBECONFIG") or str(local_kubeconfig())
    if not (env.get("MLP_KUBECONFIG") or env.get("DOCKER_HOST")):
        env["DOCKER_HOST"] = f"unix://{paths.home()}/cluster/docker.sock"
    env["PATH"] = search_path(env.get("PATH", ""))
    return env


def local_kubeconfig() -> Path:
    """The file that the local cluster writes for its operator."""
    return paths.home() / "cluster" / "admin.kubeconfig"


def search_path(path: str) -> str:
    """PATH with our tools in front and the system's folders at the end."""
    ours = str(paths.venv_bin())
    given = [entry for entry in path.split(os.pathsep) if entry and entry != ours]
    return os.pathsep.join([ours, *given, *(entry for entry in SYSTEM_PATH if entry not in given)])


def shell_script() -> str:
    """`mlp-env.sh`: the same variables for a POSIX shell; safe to source twice."""
    lines = [
        "# Written by the toolchain; sourced by .venv/bin/activate. Values that are set already stay.",
        f"_mlp_repo={shlex.quote(str(paths.repo_root()))}",
        'MLP_HOME="${MLP_HOME:-$HOME/.local/share/ml-pipeline}"; export MLP_HOME',
        'MLP_CACHE="${MLP_CACHE:-$HOME/.cache/ml-pipeline}"; export MLP_CACHE',
    ]
    words = {"$home": "${MLP_HOME}", "$repo": "${_mlp_repo}"}
    for name, value in DEFAULTS.items():
        if name.startswith("MLP_"):
            continue
        for word, path in words.items():
            value = value.replace(word, path)  # noqa: PLW2901  (two short substitutions)
        lines.append(f'{name}="${{{name}:-{value}}}"; export {name}')
    lines += [
        f"unset {NO_BYTECODE}",
        '[ -n "${PULUMI_CONFIG_PASSPHRASE:-}" ] || unset PULUMI_CONFIG_PASSPHRASE',
        'if [ -z "${PULUMI_CONFIG_PASSPHRASE:-}${PULUMI_CONFIG_PASSPHRASE_FILE:-}" ]; then',
        '    PULUMI_CONFIG_PASSPHRASE_FILE="${MLP_HOME}/passphrase"; export PULUMI_CONFIG_PASSPHRASE_FILE',
        "fi",
        'KUBECONFIG="${MLP_KUBECONFIG:-${MLP_HOME}/cluster/admin.kubeconfig}"; export KUBECONFIG',
        'if [ -z "${MLP_KUBECONFIG:-}${DOCKER_HOST:-}" ]; then',
        '    DOCKER_HOST="unix://${MLP_HOME}/cluster/docker.sock"; export DOCKER_HOST',
        "fi",
        f"for _mlp_dir in {' '.join(SYSTEM_PATH)}; do",
        '    case ":${PATH}:" in *":${_mlp_dir}:"*) ;; *) PATH="${PATH}:${_mlp_dir}" ;; esac',
        "done",
        "export PATH",
        "unset _mlp_repo _mlp_dir",
    ]
    return "\n".join(lines) + "\n"
