"""Downloads official releases. A host that cannot be reached is asked once a run; then the next source is tried."""

import hashlib
import http.client
import os
import shutil
import tarfile
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from toolchain.pins import Download, Tool

TIMEOUT_S = 5.0


class UnavailableError(Exception):
    """This source cannot give the tool; the message says why, and the next source is tried."""


class Downloader:
    """Fetches files and remembers which hosts refused."""

    def __init__(self, timeout_s: float = TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._refused: dict[str, str] = {}

    def fetch(self, url: str, target: Path, sha256: str = "") -> None:
        """Download `url` into `target`.

        Raises:
            UnavailableError: The host does not answer, refuses, or sends something else than the pinned hash.
        """
        host = urllib.parse.urlsplit(url).netloc
        if os.environ.get("MLP_OFFLINE"):
            raise UnavailableError("MLP_OFFLINE is set")
        if host in self._refused:
            raise UnavailableError(f"{host}: {self._refused[host]}")
        try:
            self._save(url, target)
        except urllib.error.HTTPError as error:
            raise UnavailableError(f"{url}: HTTP {error.code}") from error
        except (urllib.error.URLError, TimeoutError, ConnectionError, http.client.HTTPException) as error:
            self._refused[host] = str(getattr(error, "reason", error))
            raise UnavailableError(f"{host}: {self._refused[host]}") from error
        _check(target, sha256, url)

    def _save(self, url: str, target: Path) -> None:
        with urllib.request.urlopen(url, timeout=self._timeout_s) as answer, target.open("wb") as out:  # noqa: S310
            # (the scheme comes from pins.toml)
            shutil.copyfileobj(answer, out, 1 << 20)


def install(tool: Tool, into: Path, downloader: Downloader) -> None:
    """Fill `into` with the tool's binaries from its official release."""
    for number, release in enumerate(tool.downloads):
        if "{member}" in release.url:
            for member in release.members:
                downloader.fetch(release.url.replace("{member}", member), into / member, release.sha256)
                (into / member).chmod(0o755)
            continue
        archive = into / f".archive-{number}"
        downloader.fetch(release.url, archive, release.sha256)
        _unpack(archive, release, into)
        archive.unlink()
    if tool.dispatcher:
        _write_dispatcher(into / tool.binaries[0])


def _check(file: Path, sha256: str, url: str) -> None:
    if not sha256:
        return
    got = hashlib.sha256(file.read_bytes()).hexdigest()
    if got != sha256:
        file.unlink()
        raise UnavailableError(f"{url}: sha256 is {got}, pinned is {sha256}")


def _unpack(archive: Path, release: Download, into: Path) -> None:
    wanted = set(release.members)
    try:
        with tarfile.open(archive) as tar:
            for entry in tar:
                name = Path(entry.name).name
                source = tar.extractfile(entry) if entry.isfile() and name in wanted else None
                if source is None:
                    continue
                with source, (into / name).open("wb") as out:
                    shutil.copyfileobj(source, out)
                (into / name).chmod(0o755)
                wanted.discard(name)
    except (tarfile.TarError, EOFError) as error:
        raise UnavailableError(f"{release.url}: not a readable archive ({error})") from error
    if wanted:
        raise UnavailableError(f"{release.url}: has no {sorted(wanted)}")


def _write_dispatcher(script: Path) -> None:
    # The built binary has the components as subcommands; downloaded ones are files beside this script.
    script.write_text('#!/bin/sh\ntool="$1"; shift\nexec "$(dirname "$(readlink -f "$0")")/$tool" "$@"\n')
    script.chmod(0o755)
