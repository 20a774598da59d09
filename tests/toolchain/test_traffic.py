"""What the state says of the live Service."""

from toolchain.traffic import Known, known_traffic


def service(name: str, slot: str) -> dict[str, object]:
    return {
        "urn": f"urn:{name}",
        "type": "kubernetes:core/v1:Service",
        "outputs": {
            "metadata": {"name": name, "namespace": "ml-staging"},
            "spec": {"selector": {"ml-pipeline/slot": slot}},
        },
    }


def test_the_live_service_is_found_among_the_others() -> None:
    state = {"resources": [service("model-preview", "green"), service("model", "blue"), {"type": "other", "urn": "x"}]}

    assert known_traffic(state) == Known(urn="urn:model", namespace="ml-staging", slot="blue")


def test_a_new_stack_has_none() -> None:
    assert known_traffic({}) is None
    assert known_traffic({"resources": [service("model-preview", "green")]}) is None
