"""What the environment tells the model server: parsed once, every problem in one error."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ml.errors import ConfigError
from ml.serving.app import Load
from ml.serving.payloads import PayloadSettings
from ml.serving.pool import Limits
from ml.serving.runtime import PROVIDERS, Provider
from ml.serving.shadow import ShadowSettings
from ml.serving.shadow_line import Address

RELEASE_ID = re.compile(r"[a-z][a-z0-9-]*-[0-9]{4}")
SHADOW_URL = re.compile(r"http://([A-Za-z0-9.-]+)(?::([0-9]{1,5}))?/?")
SHADOW_SHARE = 0.01
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
    load: Load
    limits: Limits
    payloads: PayloadSettings | None
    shadow: ShadowSettings | None
    drain_s: float
    grace_s: float
    provider: Provider


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
        load=_load(environment, problems),
        limits=_limits(environment, problems),
        payloads=_payloads(environment, problems),
        shadow=_shadow(environment, problems),
        drain_s=_number(environment, "DRAIN_SECONDS", (DRAIN_S, 0, 600), problems),
        grace_s=_number(environment, "GRACE_SECONDS", (GRACE_S, 0, 600), problems),
        provider=_provider(environment, problems),
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


def _load(environment: Mapping[str, str], problems: list[str]) -> Load:
    default = Load()
    return Load(
        max_waiting=int(_number(environment, "MAX_IN_FLIGHT", (default.max_waiting, 1, 65536), problems)),
        deadline_s=_number(environment, "DEADLINE_SECONDS", (default.deadline_s, 0.01, 600), problems),
    )


def _limits(environment: Mapping[str, str], problems: list[str]) -> Limits:
    default = Limits()
    return Limits(
        header_s=_number(environment, "HEADER_SECONDS", (default.header_s, 0.1, 600), problems),
        body_s=_number(environment, "BODY_SECONDS", (default.body_s, 0.1, 600), problems),
        idle_s=_number(environment, "IDLE_SECONDS", (default.idle_s, 0.1, 3600), problems),
        age_s=_number(environment, "CONNECTION_AGE_SECONDS", (default.age_s, 0, 86400), problems),
        connections=int(_number(environment, "MAX_CONNECTIONS", (default.connections, 1, 65536), problems)),
    )


def _payloads(environment: Mapping[str, str], problems: list[str]) -> PayloadSettings | None:
    share = _number(environment, "PAYLOAD_LOG_SHARE", (0.0, 0, 1), problems)
    path = environment.get("PAYLOAD_LOG_FILE")
    if share and not path:
        problems.append(f"PAYLOAD_LOG_SHARE={share:g}: PAYLOAD_LOG_FILE is not set")
    if not share or not path:
        return None
    names = environment.get("PAYLOAD_LOG_REDACT", "").split(",")
    return PayloadSettings(
        path=Path(path), share=share, redacted=frozenset(name.strip() for name in names if name.strip())
    )


def _provider(environment: Mapping[str, str], problems: list[str]) -> Provider:
    named = environment.get("EXECUTION_PROVIDER", "cpu")
    for one in PROVIDERS:
        if named == one:
            return one
    problems.append(f"EXECUTION_PROVIDER={named!r}: must be {' or '.join(map(repr, PROVIDERS))}")
    return "cpu"


def _shadow(environment: Mapping[str, str], problems: list[str]) -> ShadowSettings | None:
    url, share = environment.get("SHADOW_URL"), environment.get("SHADOW_SHARE")
    if not url:
        if share is not None:
            problems.append(f"SHADOW_SHARE={share!r}: SHADOW_URL is not set")
        return None
    taken = _number(environment, "SHADOW_SHARE", (SHADOW_SHARE, 0.0001, 1), problems)
    found = SHADOW_URL.fullmatch(url)
    port = int(found[2] or 80) if found else 0
    if found is None or not 0 < port <= 65535:
        problems.append(f"SHADOW_URL={url!r}: must be http://HOST or http://HOST:PORT, without a path")
        return None
    return ShadowSettings(address=Address(host=found[1], port=port), share=taken)


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
