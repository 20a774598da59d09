"""One fragment per change, written for the operator; headings of keepachangelog.com."""

import re

from tests.meta.commands import ROOT

KINDS = ("added", "changed", "deprecated", "removed", "fixed", "security")
FRAGMENTS = sorted((ROOT / "changelog.d").glob("*"))


def test_there_is_a_changelog_with_an_unreleased_part() -> None:
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text()


def test_the_headings_are_the_known_ones() -> None:
    headings = re.findall(r"^### (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)

    assert {heading.lower() for heading in headings} <= set(KINDS)


def test_every_fragment_is_named_after_its_kind_and_says_one_thing() -> None:
    names = [path for path in FRAGMENTS if path.name != "README.md"]

    assert names
    for path in names:
        assert re.fullmatch(rf"[a-z0-9-]+\.({'|'.join(KINDS)})\.md", path.name), path.name
        text = path.read_text().strip()
        assert text, path.name
        assert "\n\n" not in text, f"{path.name}: one paragraph"
        assert len(text) <= 600, path.name
        assert text.endswith("."), path.name
