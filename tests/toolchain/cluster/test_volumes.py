import http
from pathlib import Path
from typing import Any

import pytest

from toolchain.cluster import volumes
from toolchain.cluster.api import ApiError

UID = "00000000-0000-0000-0000-000000000001"
NAME = f"pvc-{UID}"


def claim(**changes: Any) -> dict[str, Any]:
    spec = {
        "storageClassName": "local",
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "2Gi"}},
    }
    annotations = {volumes.SELECTED_NODE: "ml-pipeline"}
    metadata = {"namespace": "ml-staging", "name": "data", "uid": UID, "annotations": annotations}
    return {"metadata": metadata | changes.pop("metadata", {}), "spec": spec | changes}


def volume(**changes: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": NAME, "annotations": {volumes.PROVISIONED_BY: "ml-pipeline/volumes"}}
        | changes.pop("metadata", {}),
        "spec": {"persistentVolumeReclaimPolicy": changes.pop("policy", "Delete")},
        "status": {"phase": changes.pop("phase", "Released")},
    }


def test_a_claim_whose_pod_was_placed_here_is_served() -> None:
    assert volumes.wanted([claim()]) == [claim()]


@pytest.mark.parametrize(
    "other",
    [
        claim(storageClassName="other"),
        claim(volumeName=NAME),
        claim(metadata={"annotations": {}}),
        claim(metadata={"annotations": {volumes.SELECTED_NODE: "elsewhere"}}),
        claim(metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}),
    ],
)
def test_other_claims_are_left_alone(other: dict[str, Any]) -> None:
    assert volumes.wanted([other]) == []


@pytest.mark.parametrize(
    "other",
    [
        volume(phase="Bound"),
        volume(policy="Retain"),
        volume(metadata={"annotations": {}}),
        volume(metadata={"name": "../../etc"}),
        volume(metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}),
    ],
)
def test_data_are_only_removed_with_a_released_volume_of_ours(other: dict[str, Any]) -> None:
    assert volumes.released([volume()]) == [NAME]
    assert volumes.released([other]) == []


def test_the_volume_belongs_to_its_claim_and_to_this_node() -> None:
    made = volumes.volume_for(claim(), Path("/v") / NAME)

    assert made["spec"]["claimRef"]["uid"] == UID
    assert made["spec"]["capacity"] == {"storage": "2Gi"}
    assert made["spec"]["local"] == {"path": f"/v/{NAME}"}
    assert made["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"][0]["matchExpressions"][0]["values"] == [
        "ml-pipeline"
    ]


class Api:
    """Answers from two lists and remembers what was asked of it."""

    def __init__(self, claims: list[Any], existing: list[Any], refusal: int | None = None) -> None:
        self.lists = {"/api/v1/persistentvolumeclaims": claims, "/api/v1/persistentvolumes": existing}
        self.refusal = refusal
        self.calls: list[tuple[str, str]] = []

    def get(self, path: str) -> Any:
        return {"items": self.lists[path]}

    def call(self, method: str, path: str, _body: Any = None) -> None:
        self.calls.append((method, path))
        if self.refusal is not None:
            raise ApiError(method, path, self.refusal, "")


def test_a_round_makes_the_directory_and_the_volume(tmp_path: Path) -> None:
    api = Api([claim()], [])

    volumes.reconcile(api, tmp_path)  # type: ignore[arg-type]

    assert (tmp_path / NAME).is_dir()
    assert api.calls == [("POST", "/api/v1/persistentvolumes")]


def test_a_volume_that_was_made_in_the_last_round_is_no_error_but_a_refusal_is(tmp_path: Path) -> None:
    volumes.reconcile(Api([claim()], [], http.HTTPStatus.CONFLICT), tmp_path)  # type: ignore[arg-type]

    with pytest.raises(ApiError):
        volumes.reconcile(Api([claim()], [], http.HTTPStatus.FORBIDDEN), tmp_path)  # type: ignore[arg-type]


def test_a_round_removes_released_data_and_repeats_what_was_cut_off(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    (tmp_path / NAME / "file").write_text("x")
    api = Api([], [volume()])

    for _ in range(2):
        volumes.reconcile(api, tmp_path)  # type: ignore[arg-type]

    assert list(tmp_path.iterdir()) == []
    assert api.calls == [("DELETE", f"/api/v1/persistentvolumes/{NAME}")] * 2
