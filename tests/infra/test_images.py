"""The images of a stack: built once, on our base, used by digest."""

import pytest

from infra.delivery.contexts import Contexts
from infra.delivery.image import Images, ImagesArgs

ALL = Contexts(base="../images/base", platform={"mlflow": "../images/mlflow"}, serving={"a-0001": "../.build/a-0001"})
NONE = Contexts(base=None, platform={}, serving={})
GIVEN = f"registry/mlflow@sha256:{'a' * 64}"


@pytest.fixture
def images(deploy):
    made = {}

    def build(contexts, given=None):
        def program():
            made["images"] = Images(
                "images", ImagesArgs(registry="r:5000", tag="staging", contexts=contexts, given=given or {})
            )

        return deploy(program), made["images"]

    return build


def test_every_image_is_built_on_the_base_by_its_digest(images):
    done, _ = images(ALL)

    base = done.one("Image", "images-base")
    assert base.inputs["build"].get("args", {}) == {}
    for name in ("images-mlflow", "images-serving-a-0001"):
        reference = done.one("Image", name).inputs["build"]["args"]["BASE_IMAGE"]
        assert reference.startswith("r:5000/ml-pipeline/base@sha256:")
        assert base.urn in done.one("Image", name).depends_on


def test_names_say_what_they_are_and_a_serving_image_is_tagged_with_its_release(images):
    done, _ = images(ALL)

    assert {i.inputs["imageName"] for i in done.of("Image")} == {
        "r:5000/ml-pipeline/base:staging",
        "r:5000/ml-pipeline/mlflow:staging",
        "r:5000/ml-pipeline/serving:a-0001",
    }


def test_images_outlive_the_slot_that_ran_them(images):
    done, _ = images(ALL)

    assert all(image.retain_on_delete for image in done.of("Image"))


def test_builds_reach_the_package_registries_and_are_for_one_platform(images):
    done, _ = images(ALL)

    assert {(i.inputs["build"]["network"], i.inputs["build"]["platform"]) for i in done.of("Image")} == {
        ("host", "linux/amd64")
    }


def test_what_is_given_is_not_built(images):
    done, made = images(NONE, {"mlflow": GIVEN})

    assert done.of("Image") == []
    assert set(made.platform) == {"mlflow"}
