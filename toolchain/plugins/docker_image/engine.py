"""Builds and pushes through the Docker engine's API, with its first-generation builder (no BuildKit needed)."""

import collections
from collections.abc import Callable, Iterable
from typing import Any

import docker
import requests
from docker.errors import APIError, DockerException
from docker.utils import kwargs_from_env

from toolchain.plugins.docker_image import context
from toolchain.plugins.docker_image.inputs import Image

SILENCE_S = 1800  # a RUN step may be quiet for long; the deployment's own deadline is the real one
TAIL_LINES = 15
MASK = "[secret]"

Log = Callable[[str], None]


class ImageError(Exception):
    """A build or a push failed; the message is for the user."""


class Engine:
    """One Docker engine."""

    def __init__(self, host: str, log: Log, secrets: Iterable[str] = ()) -> None:
        """Connect lazily.

        Args:
            host: Address such as `unix:///run/docker.sock`; empty for the environment's.
            log: Receives progress lines.
            secrets: Values that are masked in every line and error.
        """
        self._host = host
        self._log = log
        self._secrets = sorted(set(secrets), key=len, reverse=True)

    def build(self, image: Image) -> str:
        """Build and tag the image.

        Returns:
            The image's id, `sha256:...`.
        """
        what = f"building {image.name} from {image.dockerfile}"
        client = self._client()
        archive, dockerfile = context.archive(image.context, image.dockerfile)
        tail: collections.deque[str] = collections.deque(maxlen=TAIL_LINES)
        found = ""
        try:
            with archive:
                for event in client.build(
                    fileobj=archive,
                    custom_context=True,
                    dockerfile=dockerfile,
                    tag=image.name,
                    buildargs=dict(image.args),
                    target=image.target or None,
                    platform=image.platform or None,
                    network_mode=image.network or None,
                    extra_hosts=list(image.add_hosts) or None,
                    cache_from=list(image.cache_from) or None,
                    rm=True,
                    forcerm=True,
                    decode=True,
                ):
                    self._follow(event, what, tail)
                    found = event.get("aux", {}).get("ID", found)
        except (DockerException, requests.RequestException, OSError) as error:
            raise self._error(what, error, tail) from error
        finally:
            client.close()
        if not found:
            raise self._error(what, "the engine named no image", tail)
        return str(found)

    def push(self, image: Image) -> str:
        """Push the image.

        Returns:
            Its address by digest, `registry/name@sha256:...`.
        """
        what = f"pushing {image.name}"
        client = self._client()
        auth = {"username": image.username, "password": image.password} if image.username and image.password else None
        tail: collections.deque[str] = collections.deque(maxlen=TAIL_LINES)
        digest = ""
        self._log(what)
        try:
            for event in client.push(image.name, stream=True, decode=True, auth_config=auth):
                if "error" in event:
                    raise self._error(what, event["error"], tail)
                digest = event.get("aux", {}).get("Digest", digest)
                if event.get("status") and "progress" not in event:
                    tail.append(self._masked(f"{event.get('id', '')} {event['status']}".strip()))
        except (DockerException, requests.RequestException) as error:
            raise self._error(what, error, tail) from error
        finally:
            client.close()
        if not digest:
            raise self._error(what, "the registry answered no digest", tail)
        return f"{repository(image.name)}@{digest}"

    def _follow(self, event: dict[str, Any], what: str, tail: "collections.deque[str]") -> None:
        if "error" in event:
            raise self._error(what, event["error"], tail)
        for line in str(event.get("stream", "")).splitlines():
            if line.strip():
                shown = self._masked(line.rstrip())
                tail.append(shown)
                # Thousands of lines of a package manager help nobody; a failure shows the tail.
                if shown.startswith("Step "):
                    self._log(shown)

    def _client(self) -> docker.APIClient:
        address = {"base_url": self._host} if self._host else kwargs_from_env()
        try:
            return docker.APIClient(version="auto", timeout=SILENCE_S, **address)
        except DockerException as error:
            where = address.get("base_url") or "the default socket"
            message = f"cannot reach the Docker engine at {where}: {error}"
            fix = "start it (`mlp cluster up` starts the local one), or let DOCKER_HOST name another"
            raise ImageError(f"{message}\n  Fix: {fix}") from error

    def _error(self, what: str, reason: object, tail: Iterable[str]) -> ImageError:
        words = reason.explanation or str(reason) if isinstance(reason, APIError) else str(reason)
        lines = "".join(f"\n    {line}" for line in tail)
        log = f"; the last lines of the log:{lines}" if lines else ""
        return ImageError(f"{what} failed: {self._masked(str(words).strip())}{log}")

    def _masked(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return text


def repository(name: str) -> str:
    """The image name without its tag."""
    head, slash, last = name.rpartition("/")
    return head + slash + last.split(":", 1)[0].split("@", 1)[0]
