"""What the environment tells the model server: parsed once, every problem in one error."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ml.errors import ConfigError

RELEASE_ID = re.compile(r"[a-z][a-z0-9-]*-[0-9]{4}")
MAX_IN_FLIGHT = 256
DRAIN_S = 3.0
GRACE_S = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """The server's settings.

    `drain_s` is how long, after SIGTERM, answers carry `Connection: close` before the listener closes;
    `grace_s` how long requests that still run may take after that. Their sum, with the preStop sleep, must stay
    below the pod's terminationGracePeriodSeconds.
    """

    model_dir: Path
    model_version: str
    host: str
    port: int
    monitoring_endpoint: str | None
    api_keys_file: Path | None
    max_in_flight: int
    drain_s: float
    grace_s: float


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Read the settings.

    Raises:
        ConfigError: `ML-SERVE-001`, naming every variable that is missing or wrong.
    """
    problems: list[str] = []
    settings = Settings(
        model_dir=Path(_required(environment, "MODEL_DIR", problems)),
        model_version=_release(environment, problems),
        host=environment.get("HOST", "0.0.0.0"),  # noqa: S104 - a pod's own address; the Service decides who reaches it
        port=int(_number(environment, "PORT", (8000, 1, 65535), problems)),
        monitoring_endpoint=environment.get("MONITORING_ENDPOINT") or None,
        api_keys_file=_keys_file(environment, problems),
        max_in_flight=int(_number(environment, "MAX_IN_FLIGHT", (MAX_IN_FLIGHT, 1, 65536), problems)),
        drain_s=_number(environment, "DRAIN_SECONDS", (DRAIN_S, 0, 600), problems),
        grace_s=_number(environment, "GRACE_SECONDS", (GRACE_S, 0, 600), problems),
    )
    if problems:
        raise ConfigError("ML-SERVE-001", "; ".join(problems), "set the variables and start again")
    return settings


def _required(environment: Mapping[str, str], name: str, problems: list[str]) -> str:
    value = environment.get(name, "")
    if not value:
        problems.append(f"{name} is not set")
    return value


def _release(environment: Mapping[str, str], problems: list[str]) -> str:
    value = _required(environment, "MODEL_VERSION", problems)
    if value and not RELEASE_ID.fullmatch(value):
        problems.append(f"MODEL_VERSION={value!r}: must be a release id such as 'flights-0001'")
    return value


def _number(environment: Mapping[str, str], name: str, rule: tuple[float, float, float], problems: list[str]) -> float:
    default, low, high = rule
    text = environment.get(name)
    if text is None:
        return default
    try:
        value = float(text) if "." in text else int(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        problems.append(f"{name}={text!r}: must be a number from {low:g} to {high:g}")
        return default
    return value


def _keys_file(environment: Mapping[str, str], problems: list[str]) -> Path | None:
    anonymous = environment.get("ALLOW_ANONYMOUS", "false")
    if anonymous not in {"true", "false"}:
        problems.append(f"ALLOW_ANONYMOUS={anonymous!r}: must be 'true' or 'false'")
    named = environment.get("API_KEYS_FILE")
    path = Path(named) if named else None
    if path is not None and path.is_file():
        return path
    if anonymous != "true":
        state = f"API_KEYS_FILE={named!r} does not exist" if named else "API_KEYS_FILE is not set"
        problems.append(f"{state}: predictions need keys, or ALLOW_ANONYMOUS=true")
    return None
