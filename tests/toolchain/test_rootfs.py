import datetime as dt
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.errors import SurroundingsError
from toolchain import rootfs
from toolchain.rootfs import Source

DEB822 = """\
# a comment
Types: deb
URIs: http://mirror.example/debian/
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/security
Suites:
 bookworm-security
Components: main contrib
"""
ONE_LINE = """\
# deb http://mirror.example/commented bookworm main
deb http://mirror.example/debian bookworm main contrib # as installed
deb [arch=amd64] http://mirror.example/debian bookworm-updates main
deb-src http://mirror.example/debian bookworm-security main
deb http://mirror.example/security/ bookworm-security main
"""
EXPECTED = [
    Source(uri="http://mirror.example/debian", suite="bookworm"),
    Source(uri="http://mirror.example/debian", suite="bookworm-updates"),
    Source(uri="http://mirror.example/security", suite="bookworm-security"),
]


@pytest.mark.parametrize(("name", "text"), [("debian.sources", DEB822), ("sources.list", ONE_LINE)])
def test_debians_entries_are_found_in_both_formats(name: str, text: str) -> None:
    assert rootfs.debian_sources([(name, text)]) == EXPECTED


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.list", "deb [signed-by=/etc/apt/keyrings/corp.gpg] https://corp.example/apt bookworm main"),
        ("a.list", "deb https://corp.example/apt stable main"),
        ("a.list", "deb https://corp.example/apt bookworm nightly"),
        (
            "a.sources",
            "Types: deb\nURIs: https://corp.example\nSuites: bookworm\nComponents: main\nSigned-By: /k.gpg\n",
        ),
        ("a.sources", "Types: deb\nURIs: https://corp.example\nSuites: bookworm\nComponents: main\nEnabled: no\n"),
        ("a.sources", "Types: deb-src\nURIs: https://corp.example\nSuites: bookworm\nComponents: main\n"),
    ],
)
def test_other_peoples_entries_never_get_into_the_image(name: str, text: str) -> None:
    assert rootfs.debian_sources([("debian.sources", DEB822), (name, text)]) == EXPECTED


def test_a_machine_without_the_release_is_told_so() -> None:
    with pytest.raises(SurroundingsError, match=r"ML-HOST-102.*bookworm"):
        rootfs.debian_sources([("sources.list", "deb http://mirror.example/debian trixie main")])


def test_every_line_is_held_to_debians_own_keys() -> None:
    assert EXPECTED[0].line() == f"deb [signed-by={rootfs.KEYRING}] http://mirror.example/debian bookworm main"


@given(st.permutations(["one.list", "two.list", "three.list"]))
def test_the_key_does_not_depend_on_the_order_of_files(names: list[str]) -> None:
    lines = dict(zip(["one.list", "two.list", "three.list"], ONE_LINE.splitlines()[1:], strict=False))
    keys = rootfs.key(rootfs.debian_sources([(name, lines[name]) for name in names] + [("sources.list", ONE_LINE)]))

    assert keys == rootfs.key(EXPECTED)


def test_the_key_changes_with_a_source() -> None:
    assert rootfs.key(EXPECTED) != rootfs.key(EXPECTED[:-1])


def test_times_are_clamped_to_the_newest_release_file(tmp_path: Path) -> None:
    (tmp_path / "a_InRelease").write_text("Origin: Debian\nDate: Sat, 10 Oct 2026 09:30:00 UTC\n")
    (tmp_path / "b_Release").write_text("Date: Sat, 03 Oct 2026 09:30:00 UTC\n")

    assert rootfs._newest_release(tmp_path) == dt.datetime(2026, 10, 10, 9, 30, tzinfo=dt.UTC)
    assert rootfs._newest_release(tmp_path / "none") == rootfs.OLDEST


def test_the_cached_file_is_linked_into_the_context_and_replaced_when_another(tmp_path: Path) -> None:
    one, two, target = tmp_path / "one.tar", tmp_path / "two.tar", tmp_path / "context" / "rootfs.tar"
    one.write_bytes(b"one")
    two.write_bytes(b"another")

    rootfs._place(one, target)
    assert target.samefile(one)
    rootfs._place(one, target)
    rootfs._place(two, target)

    assert target.read_bytes() == b"another"
    assert [path.name for path in target.parent.iterdir()] == ["rootfs.tar"]


def test_cleaning_keeps_licences_and_removes_what_names_the_machine(tmp_path: Path) -> None:
    for name in (
        "etc/resolv.conf",
        "usr/share/doc/a/copyright",
        "usr/share/doc/a/changelog.gz",
        "usr/share/doc/b/README",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    for name in (*rootfs.EMPTIED, "var/lib/dpkg"):
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / name / "left").touch()
    (tmp_path / "etc/shadow").write_text("root:*:20000:0:99999:7:::\n")
    (tmp_path / "tmp").chmod(0o1777)

    rootfs._clean(tmp_path)

    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert left == ["etc/machine-id", "etc/shadow", "usr/share/doc/a/copyright", "var/lib/dpkg/left"]
    assert (tmp_path / "etc/shadow").read_text() == "root:*:19000:0:99999:7:::\n"
    assert (tmp_path / "tmp").stat().st_mode & 0o7777 == 0o1777


def test_packing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/b").write_text("b")
    (root / "etc/a").write_text("a")
    clamp = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

    rootfs._pack(root, tmp_path / "1.tar", clamp, tmp_path / "log")
    os.utime(root / "etc/a", (2e9, 2e9))
    os.utime(root / "etc", (2.1e9, 2.1e9))
    rootfs._pack(root, tmp_path / "2.tar", clamp, tmp_path / "log")

    assert (tmp_path / "1.tar").read_bytes() == (tmp_path / "2.tar").read_bytes()
