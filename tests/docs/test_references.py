"""Every reference in code and documentation can be followed: facts, rows, links, commands and options."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

from verifier.checks.catalogue import load_checks
from verifier.commands.cli import app

ROOT = Path(__file__).parents[2]
OWNERSHIP, FACTS = ROOT / "docs" / "data-ownership.md", ROOT / "docs" / "openim-facts.md"
CITED_IN = {".py", ".md", ".toml", ".j2", ".yml"}
CITATION = re.compile(r"\[([FD]\d{1,3})\]")
LINK = re.compile(r"\]\((?!https?://)([^)#\s]*)(?:#([^)\s]+))?\)")
SHELL_BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)


def tracked(*suffixes: str) -> Iterator[Path]:
    """The files of the repository with one of these suffixes; recordings are data and left out."""
    listing = subprocess.run(
        ["git", "ls-files", "-z"],  # noqa: S607 - the git of the PATH is meant
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listing.split("\0")):
        path = ROOT / name
        if path.suffix in suffixes and "recordings" not in Path(name).parts and path.is_file():
            yield path


def pages() -> list[Path]:
    """The Markdown pages."""
    return sorted(tracked(".md"))


def defined() -> set[str]:
    """The IDs that the two pages of facts define."""
    facts = set(re.findall(r"\*\*(F\d+)\*\*", FACTS.read_text(encoding="utf-8")))
    rows = set(re.findall(r"^### (D\d+) ", OWNERSHIP.read_text(encoding="utf-8"), re.MULTILINE))
    return facts | rows


def test_each_cited_fact_and_row_exists() -> None:
    """`[F12]` and `[D4]` name an entry of docs/openim-facts.md or docs/data-ownership.md."""
    known = defined()
    assert len(known) > 100
    unknown = {
        f"{path.relative_to(ROOT)}: [{name}]"
        for path in tracked(*CITED_IN)
        for name in CITATION.findall(path.read_text(encoding="utf-8"))
        if name not in known
    }
    assert not unknown


def test_facts_and_rows_are_numbered_without_gaps() -> None:
    """An ID is used once, and none is missing: a removed fact keeps its number and says so."""
    for page, pattern in ((FACTS, r"^\| \*\*F(\d+)\*\*"), (OWNERSHIP, r"^### D(\d+) ")):
        numbers = [int(number) for number in re.findall(pattern, page.read_text(encoding="utf-8"), re.MULTILINE)]
        assert numbers == list(range(1, len(numbers) + 1)), page.name


def test_each_check_names_a_row_of_the_ownership_page() -> None:
    """`row=` of every shipped check is a heading of docs/data-ownership.md."""
    rows = set(re.findall(r"^### D\d+ (.+)$", OWNERSHIP.read_text(encoding="utf-8"), re.MULTILINE))
    shipped = [item for item in load_checks() if not item.id.startswith("X-")]
    assert {item.row for item in shipped} <= rows


def anchors(page: Path) -> set[str]:
    """The anchors that a Markdown viewer makes of the page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_each_link_leads_somewhere(page: Path) -> None:
    """Relative links name a file that exists, and a heading in it."""
    broken = []
    for target, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        there = (page.parent / target).resolve() if target else page
        if not there.exists() or (anchor and there.suffix == ".md" and anchor not in anchors(there)):
            broken.append(f"{target}#{anchor}")
    assert not broken


def shell_lines(page: Path) -> Iterator[list[str]]:
    """The commands in the page's shell blocks, comments removed."""
    for block in SHELL_BLOCK.findall(page.read_text(encoding="utf-8")):
        for line in block.replace("\\\n", " ").splitlines():
            for command in line.split("&&"):
                words = shlex.split(command, comments=True)
                if words:
                    yield words


def options_of(command: str) -> set[str]:
    """The long and short options of a subcommand of `verifier`."""
    group = typer.main.get_command(app)
    commands = getattr(group, "commands", {})
    assert command in commands, f"there is no command: verifier {command}"
    return {name for parameter in commands[command].params for name in (*parameter.opts, *parameter.secondary_opts)}


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_each_verifier_command_exists(page: Path) -> None:
    """`verifier …` lines in shell blocks use commands and options that exist."""
    for words in shell_lines(page):
        if words[0] == "verifier" and len(words) > 1 and not words[1].startswith("-"):
            known = options_of(words[1])
            used = {word.partition("=")[0] for word in words[2:] if re.match(r"--?[a-z]", word)}
            assert used <= known, f"verifier {words[1]}: {sorted(used - known)}"


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_each_module_command_exists(page: Path) -> None:
    """`python -m …` lines in shell blocks name a module of the repository, and `make …` a target."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for words in shell_lines(page):
        if words[:2] == ["python", "-m"]:
            place = ROOT.joinpath(*words[2].split("."))
            assert place.with_suffix(".py").is_file() or (place / "__main__.py").is_file(), words[2]
        if words[0] == "make":
            assert {word for word in words[1:] if "=" not in word} <= targets
