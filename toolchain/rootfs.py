"""The file system of the base image: a small Debian, made by debootstrap from the machine's own Debian sources.

The result is kept in the cache by release, sources and recipe, not by date: a machine builds it once, and
`rm -r CACHE/rootfs` asks for one with today's security updates.
"""

import datetime as dt
import hashlib
import os
import platform
import re
import shutil
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final

from ml.errors import SurroundingsError
from toolchain import locks, paths, run, trust

RELEASE: Final = "bookworm"
KEYRING: Final = "/usr/share/keyrings/debian-archive-keyring.gpg"
APT_DIRECTORY: Final = Path("/etc/apt")
# bookworm's own date: the clamp when a Release file has none.
OLDEST: Final = dt.datetime(2023, 6, 10, tzinfo=dt.UTC)

DPKG_EXCLUDES: Final = """\
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/man/*
path-exclude /usr/share/groff/*
path-exclude /usr/share/info/*
path-exclude /usr/share/lintian/*
path-exclude /usr/share/locale/*
path-include /usr/share/locale/locale.alias
"""
APT_SETTINGS: Final = """\
APT::Install-Recommends "false";
APT::Install-Suggests "false";
APT::Keep-Downloaded-Packages "false";
Acquire::Languages "none";
Acquire::Retries "3";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
"""
EMPTIED: Final = (
    "var/lib/apt/lists", "var/cache/apt", "var/cache/debconf", "var/cache/ldconfig", "var/log", "tmp", "run",
    "usr/share/man", "usr/share/groff", "usr/share/info", "usr/share/lintian", "usr/share/locale",
)  # fmt: skip
REMOVED: Final = ("etc/resolv.conf", "etc/hostname", "etc/.pwd.lock", "var/lib/dbus/machine-id")


@dataclass(frozen=True, kw_only=True, order=True)
class Source:
    """One archive and suite that packages come from."""

    uri: str
    suite: str

    def line(self) -> str:
        """As apt's one-line format; always checked against Debian's own keys."""
        return f"deb [signed-by={KEYRING}] {self.uri} {self.suite} main"


def ensure() -> Path:
    """`images/base/rootfs.tar`, made on the first call; safe to run twice at once and to repeat after a kill.

    Raises:
        SurroundingsError: not root, no Debian sources, or debootstrap failed; the log's end is shown.
    """
    sources = debian_sources(_apt_files(APT_DIRECTORY))
    target = paths.cache().absolute() / "rootfs" / f"{RELEASE}-{key(sources)}.tar"
    if not target.exists():
        if os.geteuid() != 0:
            raise SurroundingsError("ML-HOST-101", "building the base image's file system needs root", "run it as root")
        target.parent.mkdir(parents=True, exist_ok=True)
        with locks.held(target.with_suffix(".lock")):
            if not target.exists():
                _build(target, sources)
    return _place(target, paths.repo_root() / "images" / "base" / "rootfs.tar")


def key(sources: Sequence[Source]) -> str:
    """Changes with what goes into the file system, not with the day."""
    parts = [RELEASE, platform.machine(), DPKG_EXCLUDES, APT_SETTINGS, *EMPTIED, *REMOVED]
    parts += [source.line() for source in sources] + trust.extra_authorities()
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def debian_sources(files: Iterable[tuple[str, str]]) -> list[Source]:
    """Debian's own entries among apt's `(file name, content)`: main of the release, its updates and its security.

    An entry that names another keyring is somebody else's, whatever it calls its suite.

    Raises:
        SurroundingsError: the release itself is not among them.
    """
    suites = {RELEASE, f"{RELEASE}-updates", f"{RELEASE}-security"}
    found = {
        Source(uri=uri.rstrip("/"), suite=suite.rstrip("/"))
        for name, text in files
        for uri, suite in (_deb822(text) if name.endswith(".sources") else _one_line(text))
        if suite.rstrip("/") in suites
    }
    if not any(source.suite == RELEASE for source in found):
        raise SurroundingsError(
            "ML-HOST-102",
            f"apt's sources on this machine have no Debian entry for {RELEASE!r} with component main",
            fix="run on Debian 12, or add its archive to /etc/apt/sources.list.d/debian.sources",
        )
    return sorted(found)


def _apt_files(directory: Path) -> Iterator[tuple[str, str]]:
    parts = directory / "sources.list.d"
    for path in (directory / "sources.list", *sorted(parts.glob("*.list")), *sorted(parts.glob("*.sources"))):
        if path.exists():
            yield path.name, path.read_text()


def _one_line(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        match = re.fullmatch(r"deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+([^#]*)(?:#.*)?", line.strip())
        if match and "main" in match[4].split() and _is_debians(match[1] or ""):
            yield match[2], match[3]


def _deb822(text: str) -> Iterator[tuple[str, str]]:
    kept = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", kept):
        # A continued value starts with white space.
        unfolded = re.sub(r"\n[ \t]+", " ", stanza)
        fields = {name.strip().lower(): value.strip() for name, _, value in map(_partition, unfolded.splitlines())}
        enabled = fields.get("enabled", "yes").lower() in {"yes", "true", "1"}
        wanted = "deb" in fields.get("types", "").split() and "main" in fields.get("components", "").split()
        signed = fields.get("signed-by", "")
        if enabled and wanted and _is_debians(f"signed-by={signed}" if signed else ""):
            yield from ((uri, s) for uri in fields.get("uris", "").split() for s in fields.get("suites", "").split())


def _partition(line: str) -> tuple[str, str, str]:
    return line.partition(":")


def _is_debians(options: str) -> bool:
    return "signed-by" not in options.lower() or "debian-archive" in options


def _build(target: Path, sources: Sequence[Source]) -> None:
    root, log, partial = target.with_suffix(".partial"), target.with_suffix(".log"), target.with_suffix(".tar.partial")
    log.unlink(missing_ok=True)
    if root.exists():  # a killed build: its mounts went with its mount namespace
        shutil.rmtree(root)
    _bootstrap(root, sources, log)
    clamp = _newest_release(root / "var/lib/apt/lists")
    _clean(root)
    _pack(root, partial, clamp, log)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(target)
    shutil.rmtree(root)


def _bootstrap(root: Path, sources: Sequence[Source], log: Path) -> None:
    """The release, then its updates and security; every download is kept for a second try."""
    downloads = log.parent / "downloads"
    downloads.mkdir(exist_ok=True)
    main = next(source for source in sources if source.suite == RELEASE)
    # A private mount and process namespace: whatever ends us takes debootstrap and its mounts along.
    private = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    options = ["--variant=minbase", "--include=ca-certificates", f"--cache-dir={downloads}", f"--keyring={KEYRING}"]
    environment = os.environ | {"LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    _logged([*private, "debootstrap", *options, RELEASE, str(root), main.uri], log, "debootstrap", environment)
    (root / "etc/apt/sources.list").write_text("".join(f"{source.line()}\n" for source in sources))
    (root / "etc/apt/apt.conf.d/90-ml-pipeline").write_text(APT_SETTINGS)
    (root / "etc/dpkg/dpkg.cfg.d/90-ml-pipeline").write_text(DPKG_EXCLUDES)
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    shutil.copyfile("/etc/resolv.conf", root / "etc/resolv.conf")
    inside = [*private, f"--root={root}", "--mount-proc", "apt-get", "--quiet"]
    _logged([*inside, "update", "--error-on=any"], log, "apt-get update in the base image", environment)
    _logged([*inside, "--yes", "dist-upgrade"], log, "apt-get dist-upgrade in the base image", environment)
    _trust(root)
    _logged(
        [*private, f"--root={root}", "update-ca-certificates"], log, "trusting this machine's authorities", environment
    )


def _trust(root: Path) -> None:
    """Builds inside the image go through the network of this machine, so they trust the authorities that it trusts."""
    directory = root / "usr/local/share/ca-certificates"
    directory.mkdir(parents=True, exist_ok=True)
    for index, pem in enumerate(trust.extra_authorities()):
        (directory / f"host-{index}.crt").write_text(f"{pem}\n")


def _logged(command: Sequence[str], log: Path, what: str, environment: dict[str, str]) -> None:
    fix = "check the network and /etc/apt, then repeat; downloads are kept"
    run.logged(command, log, code="ML-HOST-103", what=what, env=environment, fix=fix)


def _newest_release(lists: Path) -> dt.datetime:
    """The date of the newest Release file: two builds from the same archives get the same times."""
    dates = [
        parsedate_to_datetime(line.partition(":")[2].strip())
        for path in lists.glob("*Release")
        for line in path.read_text(errors="replace").splitlines()
        if line.startswith("Date:")
    ]
    return max((date.astimezone(dt.UTC) for date in dates), default=OLDEST)


def _clean(root: Path) -> None:
    """Remove documentation, translations, caches, logs and what names this machine."""
    for name in REMOVED:
        (root / name).unlink(missing_ok=True)
    for name in EMPTIED:
        directory = root / name
        if directory.is_dir():
            mode = stat.S_IMODE(directory.stat().st_mode)
            shutil.rmtree(directory)
            directory.mkdir()
            directory.chmod(mode)
    for path in sorted((root / "usr/share/doc").rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif path.name != "copyright":
            path.unlink()
    for path in [*(root / "var/cache").glob("*-old"), *(root / "var/lib/dpkg").glob("*-old"), *root.glob("etc/*-")]:
        path.unlink()
    (root / "etc/machine-id").write_bytes(b"")
    # dpkg wants these two back; the day of an account's last change would differ from build to build.
    (root / "var/lib/apt/lists/partial").mkdir()
    (root / "var/cache/apt/archives/partial").mkdir(parents=True)
    shadow = root / "etc/shadow"
    shadow.write_text(re.sub(r"(?m)^([^:]*:[^:]*):\d+:", r"\1:19000:", shadow.read_text()))


def _pack(root: Path, target: Path, clamp: dt.datetime, log: Path) -> None:
    command = [
        "tar", "--create", f"--file={target}", f"--directory={root}", "--sort=name", "--numeric-owner",
        f"--mtime=@{int(clamp.timestamp())}", "--clamp-mtime", "--format=posix", "--one-file-system",
        "--exclude=./dev/*",
        "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime", ".",
    ]  # fmt: skip
    run.logged(command, log, code="ML-HOST-103", what="packing the base image's file system")


def _place(source: Path, target: Path) -> Path:
    """Put the cached file into the build context: a hard link where possible, a copy otherwise, swapped in at once."""
    if target.exists():
        here, there = target.stat(), source.stat()
        same_file = (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)
        if same_file or (here.st_size, here.st_mtime_ns) == (there.st_size, there.st_mtime_ns):
            return target
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    partial.unlink(missing_ok=True)
    try:
        partial.hardlink_to(source)
    except OSError:  # another file system
        shutil.copy2(source, partial)
    partial.replace(target)
    return target
