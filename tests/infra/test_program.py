"""The whole program against recording mocks: what a stack consists of, and what it refuses."""

import json


def slots(**held):
    return json.dumps({slot: {"release": release} for slot, release in held.items()})


def test_the_first_release_is_deployed_with_the_platform_and_takes_traffic(program, checkout):
    checkout.release("flights-0001")

    done = program(config={"slots": slots(blue="flights-0001")})

    assert done.one("Service", "model").inputs["spec"]["selector"]["ml-pipeline/slot"] == "blue"
    assert {r.k8s_name for r in done.of("Deployment")} >= {"model-blue", "mlflow", "prometheus", "alertmanager"}
    assert done.exports["live"] == "blue"
    assert done.exports["slots"]["blue"]["release"] == "flights-0001"
    assert "@sha256:" in done.exports["slots"]["blue"]["image"]
    assert done.exports["namespace"] == "ml-staging"
    assert set(done.exports["images"]) == {"worker", "mlflow", "postgres", "prometheus", "kube-state-metrics"}
