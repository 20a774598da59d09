"""What the documents say exists: links, anchors, commands, files. Nothing of this machine stands in the tree."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.meta.commands import ROOT, commands_in, missing_command
from tests.meta.tree import files, text

DOCUMENTS = tuple(name for name in files(".md") if not name.startswith(("tests/", "releases/")))
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
# Written so that this file does not hold what it forbids.
_MACHINE = re.compile("/" + r"(work|root|home/[a-z]+)" + "/")


def _anchors(page: str) -> set[str]:
    heads = re.findall(r"^#+ +(.+?)\s*$", _FENCE.sub("", page), re.MULTILINE)
    found = {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}
    return found | set(re.findall(r'<a (?:id|name)="([^"]+)"', page))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_link_leads_somewhere(name: str) -> None:
    broken = []
    for link in (match[1] or match[2] for match in _LINK.finditer(_FENCE.sub("", text(name)))):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / name).parent / path if path else ROOT / name
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in _anchors(target.read_text())):
            broken.append(link)

    assert not broken, "\n" + "\n".join(broken)


def _told(line: str) -> str:
    """A command without the explanation that printed lists set beside it."""
    return re.split(r"\s{3,}", line.strip())[0]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_command_exists(name: str) -> None:
    missing = [
        f"{command}: there is no {what}"
        for command in commands_in(text(name))
        if (what := missing_command(_told(command).split())) is not None
    ]

    assert not missing, "\n" + "\n".join(missing)


def test_the_search_for_commands_would_find_one_that_is_missing() -> None:
    page = "Say `make tea` and\n```bash\nmlp preview --colour\n$ mlp brew\n```\n"

    assert [missing_command(command.split()) for command in commands_in(page)] == [
        "mlp preview --colour",
        "mlp brew",
        "make target tea",
    ]


def test_the_readme_asks_for_exactly_two_set_up_commands() -> None:
    section = text("README.md").partition("## Set up")[2].partition("\n## ")[0]
    block = re.findall(r"^```bash\n(.*?)^```", section, re.MULTILINE | re.DOTALL)

    assert [line.partition("#")[0].strip() for line in block[0].splitlines()] == ["make up", "make test"]


def test_every_decision_has_its_headings() -> None:
    wanted = ["Context", "Options", "Decision", "What gets worse", "How we would know it was wrong", "Non-goals"]
    records = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))

    assert records
    for path in records:
        assert re.findall(r"^## (.+)$", path.read_text(), re.MULTILINE) == wanted, path.name
        assert path.read_text().count("\n") <= 70, f"{path.name}: one page"


def test_no_path_of_a_machine_is_in_the_tree() -> None:
    offenders = [f"{name}: {hit[0]}" for name in files() if (hit := _MACHINE.search(text(name)))]

    assert not offenders, "\n" + "\n".join(offenders)


def _registry_hosts() -> set[str]:
    """The package registries that this machine is set up to use."""
    asked = [["go", "env", "GOPROXY"], ["pip", "config", "list"], ["npm", "config", "get", "registry"]]
    told = "".join(value for key, value in os.environ.items() if re.search("INDEX|PROXY|REGISTRY", key))
    for command in asked:
        try:
            told += subprocess.run(command, capture_output=True, text=True, check=False, timeout=20).stdout
        except FileNotFoundError:
            continue
    for path in (Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")):
        told += path.read_text(errors="ignore") if path.is_file() else ""
    hosts = re.findall(r"https?://(?:[^\s/@]*@)?([\w.-]+)", told)
    return {host for host in hosts if "." in host and not re.fullmatch(r"[\d.]+|localhost", host)}


def test_no_host_of_a_package_registry_is_in_the_tree() -> None:
    hosts = _registry_hosts()
    offenders = [f"{name}: {host}" for name in files() for host in hosts if host in text(name)]

    assert not offenders, "\n" + "\n".join(offenders)


def test_every_page_that_the_code_names_exists() -> None:
    """Messages and policies send people to pages and anchors."""
    missing = []
    for name in (*files(".py"), *files(".toml"), *files(".yaml"), *files(".yml"), "Makefile"):
        for page, anchor in re.findall(r"\b(docs/[\w./-]+\.md)(?:#([\w-]+))?", text(name)):
            known = (ROOT / page).is_file() and (not anchor or anchor in _anchors(text(page)))
            if not known:
                missing.append(f"{name}: {page}{'#' if anchor else ''}{anchor}")

    assert not missing, "\n" + "\n".join(missing)
