"""The configuration object `canary`: an HTTPRoute of the Gateway API, and the idle slot's share. Pure."""

from dataclasses import dataclass
from typing import Final

from infra.config_reader import DNS_LABEL, Reader, Rule
from infra.names import CANARY_MOST

GATEWAY_RULE: Final = Rule(pattern=rf"{DNS_LABEL}(\.{DNS_LABEL})*", words="the name of a Gateway", example="public")
NAMESPACE_RULE: Final = Rule(pattern=DNS_LABEL, words="the namespace of that Gateway", example="gateways")
HOSTNAME_RULE: Final = Rule(
    pattern=rf"{DNS_LABEL}(\.{DNS_LABEL})+", words="a host name that clients call", example="model.example.com"
)


@dataclass(frozen=True, kw_only=True)
class CanarySettings:
    """How a Gateway reaches the model."""

    gateway: str = ""
    """Empty: there is no HTTPRoute."""
    gateway_namespace: str = ""
    hostname: str = ""
    weight: int = 0
    """Percent of the route's requests that go to the idle slot."""

    @property
    def enabled(self) -> bool:
        """Whether the stack has a route."""
        return bool(self.gateway)


def read(reader: Reader) -> CanarySettings:
    """The settings of the object; its problems land in the reader's list."""
    default = CanarySettings()
    found = CanarySettings(
        gateway=reader.text("gateway", default.gateway, GATEWAY_RULE),
        gateway_namespace=reader.text("gatewayNamespace", default.gateway_namespace, NAMESPACE_RULE),
        hostname=reader.text("hostname", default.hostname, HOSTNAME_RULE),
        weight=reader.integer("weight", default.weight, low=0, high=CANARY_MOST),
    )
    given = {
        "gateway": (found.gateway, GATEWAY_RULE),
        "gatewayNamespace": (found.gateway_namespace, NAMESPACE_RULE),
        "hostname": (found.hostname, HOSTNAME_RULE),
    }
    if found.weight or any(value for value, _ in given.values()):
        for key, (value, rule) in given.items():
            if not value and not reader.values.get(key):
                reader.problem(key, None, f"given for a route: {rule.words}", rule.example)
    reader.finish()
    return found
