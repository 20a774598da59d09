"""The images that this stack builds, and the ones it was given; used by digest either way."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_docker as docker

from infra.delivery.contexts import Contexts
from infra.names import SERVING_IMAGE, repository

PLATFORM: Final = "linux/amd64"


@dataclass(frozen=True, kw_only=True)
class ImagesArgs:
    """What to build and what is given."""

    registry: str
    tag: str
    """Tag of platform images: only a name for people, since everything runs by digest."""
    contexts: Contexts
    given: Mapping[str, str]
    """Platform image name -> reference by digest."""


class Images(pulumi.ComponentResource):
    """Base, platform and serving images."""

    platform: dict[str, pulumi.Output[str]]
    """Image name -> reference by digest."""
    serving: dict[str, pulumi.Output[str]]
    """Release id -> reference by digest, for the releases that this stack builds."""

    def __init__(self, name: str, args: ImagesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ml-pipeline:delivery:Images", name, None, opts)
        self.platform = {image: pulumi.Output.from_input(reference) for image, reference in args.given.items()}
        self.serving = {}
        contexts = args.contexts
        if contexts.base is not None:
            base = self._image(name, "base", _reference(args.registry, "base", args.tag), contexts.base, {})
            on_base = {"BASE_IMAGE": base}
            for image, context in contexts.platform.items():
                reference = _reference(args.registry, image, args.tag)
                self.platform[image] = self._image(name, image, reference, context, on_base)
            for release, context in contexts.serving.items():
                reference = _reference(args.registry, SERVING_IMAGE, release)
                role = f"{SERVING_IMAGE}-{release}"
                self.serving[release] = self._image(name, role, reference, context, on_base)
        self.register_outputs({"platform": self.platform, "serving": self.serving})

    def _image(
        self,
        name: str,
        role: str,
        reference: str,
        context: str,
        arguments: Mapping[str, pulumi.Input[str]],
    ) -> pulumi.Output[str]:
        """Build and push one image; its reference by digest."""
        image = docker.Image(
            f"{name}-{role}",
            image_name=reference,
            build=docker.DockerBuildArgs(
                context=context,
                args=arguments,
                # Steps of a Dockerfile reach the package registries as the host does: proxies, name resolution.
                network="host",
                platform=PLATFORM,
            ),
            # A release that leaves its slot may still run elsewhere, or come back by a rollback.
            opts=pulumi.ResourceOptions(parent=self, retain_on_delete=True),
        )
        return image.repo_digest


def _reference(registry: str, image: str, tag: str) -> str:
    return f"{repository(registry, image)}:{tag}"
