"""Stands in for the plugin `pulumi-resource-kubernetes`: Secrets as files in `CLUSTER`, one JSON object each.

Where it matters it does as the plugin that we pin (`provider.go` and `await.go` of 4.25): a difference is one between
the inputs and what the state last saw alive; a changed Secret is replaced, deleted first; `Read` gives the live values
as inputs, as far as the program names them; `Update` takes what is ignored from the live object.
"""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pulumi.provider.experimental import provider as p
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.provider.experimental.server import main

from toolchain.plugins.docker_image.values import plain

CLUSTER = Path(os.environ["CLUSTER"])
Properties = Mapping[str, PropertyValue]


def _plain(properties: Properties) -> dict[str, Any]:
    return {name: plain(value) for name, value in properties.items() if value.value is not None}


def _property(value: Any) -> PropertyValue:
    if isinstance(value, dict):
        return PropertyValue({key: _property(item) for key, item in value.items()})
    return PropertyValue(value)


def _marked(found: Mapping[str, Any]) -> dict[str, PropertyValue]:
    """The object as properties, its data secret as the program has it."""
    return {name: PropertyValue(_property(value).value, is_secret=name == "data") for name, value in found.items()}


def _file(metadata: Mapping[str, Any]) -> Path:
    return CLUSTER / f"{metadata['name']}.json"


def _pruned(live: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """What is alive, as far as the inputs name it."""
    data = {field: live["data"][field] for field in inputs["data"] if field in live["data"]}
    return {**inputs, "metadata": live["metadata"], "data": data}


class Kubernetes(p.Provider):
    async def check_config(self, request: p.CheckRequest) -> p.CheckResponse:
        return p.CheckResponse(request.new_inputs, [])

    async def diff_config(self, _request: p.DiffRequest) -> p.DiffResponse:
        return p.DiffResponse(changes=False)

    async def configure(self, _request: p.ConfigureRequest) -> p.ConfigureResponse:
        return p.ConfigureResponse(accept_secrets=True, supports_preview=False)

    async def check(self, request: p.CheckRequest) -> p.CheckResponse:
        return p.CheckResponse(request.new_inputs, [])

    async def diff(self, request: p.DiffRequest) -> p.DiffResponse:
        new, old = _plain(request.new_inputs), _plain(request.old_state)
        old = _pruned(old, new)
        changed = [part for part in ("data", "metadata") if new[part] != old[part]]
        replaced = [part for part in changed if part == "data"]
        return p.DiffResponse(
            changes=bool(changed), diffs=changed, replaces=replaced, delete_before_replace=bool(replaced)
        )

    async def create(self, request: p.CreateRequest) -> p.CreateResponse:
        found = _plain(request.properties)
        with _file(found["metadata"]).open("x") as file:
            json.dump(found, file)
        return p.CreateResponse(found["metadata"]["name"], _marked(found))

    async def read(self, request: p.ReadRequest) -> p.ReadResponse:
        inputs = _plain(request.inputs)
        live = json.loads(_file(inputs["metadata"]).read_text())
        return p.ReadResponse(request.resource_id, _marked(live), _marked(_pruned(live, inputs)))

    async def update(self, request: p.UpdateRequest) -> p.UpdateResponse:
        news = _plain(request.news)
        file = _file(news["metadata"])
        if "data" in request.ignore_changes:
            news["data"] = json.loads(file.read_text())["data"]
        file.write_text(json.dumps(news))
        return p.UpdateResponse(_marked(news))

    async def delete(self, request: p.DeleteRequest) -> None:
        _file(_plain(request.properties)["metadata"]).unlink()


if __name__ == "__main__":
    main(sys.argv[1:], "4.25.0", Kubernetes())
