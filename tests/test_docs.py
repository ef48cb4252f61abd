"""README and docs/: links lead somewhere, paths and names exist, the README is one page."""

import pkgutil
import re
import tomllib
from pathlib import Path

import pytest
import yaml

import corelib

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGES = sorted((ROOT / "docs").glob("*.md"))
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
TEXTS = [README, *PAGES, *(ROOT / name for name in ("CONTRIBUTING.md", "notebooks/README.md"))]
ROOMS = ("corelib", "data_scripts", "docs", "notebooks", "tests", ".ci", ".github")
BARE_NAME = re.compile(r"[\w.-]+\.(py|ipynb|toml|lock|yml)")  # of a file in some room

each_text = pytest.mark.parametrize(
    "path", TEXTS, ids=[str(path.relative_to(ROOT)) for path in TEXTS]
)


def is_code(line: str) -> bool:
    return line.startswith("    ")


def prose(path: Path) -> str:
    """A page without its indented blocks of code."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if not is_code(line))


def code(path: Path) -> list[str]:
    """What stands in backticks or in an indented block of a page, one text each."""
    blocks = [line for line in path.read_text(encoding="utf-8").splitlines() if is_code(line)]
    return blocks + re.findall(r"`([^`\n]+)`", prose(path))


def anchors(path: Path) -> list[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    found = []
    for heading in re.findall(r"^#+ (.+)$", prose(path), re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        found.append(f"{slug}-{found.count(slug)}" if slug in found else slug)
    return found


def links(path: Path) -> list[str]:
    """The relative links and pictures of a page."""
    text = re.sub(r"`[^`\n]*`", "", prose(path))
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if ":" not in link]


def exists(token: str) -> bool:
    """Whether something in the repository has this path or, without a folder, this name."""
    pattern = re.sub(r"<[^>]*>|NAME|\.\.\.", "*", token)  # what stands for anything
    if "/" not in pattern:
        return any(
            any(ROOT.glob(f"{room}{pattern}")) for room in ("", *(f"{r}/**/" for r in ROOMS))
        )
    found = list(ROOT.glob(pattern.rstrip("/")))
    return any(path.is_dir() for path in found) if pattern.endswith("/") else bool(found)


@each_text
def test_every_relative_link_and_anchor_leads_to_a_file_and_a_heading(path):
    found = links(path)
    broken = []
    for link in found:
        place, _, anchor = link.partition("#")
        target = (path.parent / place).resolve() if place else path
        if not target.exists() or anchor and anchor not in anchors(target):
            broken.append(link)
    assert found and not broken


def test_the_readme_is_one_page():
    assert len(README.read_text(encoding="utf-8").split()) <= 1200


def test_the_readme_leads_to_every_page_and_every_notebook():
    there = {(ROOT / link.partition("#")[0]).resolve() for link in links(README)}
    assert there >= {*PAGES, *(ROOT / "notebooks").glob("*.ipynb")}


@each_text
def test_every_path_of_the_repository_that_is_named_exists(path):
    words = [word.strip("\"'(),;:") for text in code(path) for word in text.split()]
    named = {
        word
        for word in words
        if word.startswith(tuple(f"{room}/" for room in ROOMS)) or BARE_NAME.fullmatch(word)
    }
    assert not [word for word in sorted(named) if not exists(word)]


@each_text
def test_every_name_of_the_library_that_is_written_out_exists(path):
    for text in code(path):
        for name in re.findall(r"\b(?:corelib|data_scripts)(?:\.\w+)+", text):
            pkgutil.resolve_name(name)


CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def test_the_citation_has_what_the_format_asks_for_and_what_the_project_says():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert CITATION["cff-version"] == "1.2.0" and CITATION["type"] == "software"
    assert all(CITATION[key] for key in ("message", "title", "authors", "abstract", "keywords"))
    assert (CITATION["version"], CITATION["license"]) == (project["version"], project["license"])
    assert CITATION.get("repository-code", "") == corelib.ADDRESS


def test_bibtex_says_the_same_as_the_citation():
    blocks = "\n".join(code(ROOT / "docs" / "cite.md"))
    paper = CITATION["preferred-citation"]
    names = " and ".join(f"{who['family-names']}, {who['given-names']}" for who in paper["authors"])
    for said in (
        f"author    = {{{names}}}",
        f"title     = {{{paper['title']}}}",
        f"booktitle = {{{paper['collection-title']}}}",
        f"pages     = {{{paper['start']}--{paper['end']}}}",
        f"year      = {{{paper['year']}}}",
        f"author  = {{{{{CITATION['authors'][0]['name']}}}}}",
        f"version = {{{CITATION['version']}}}",
    ):
        assert said in blocks, said
    assert blocks.count("{") == blocks.count("}")


def test_the_readme_begins_with_what_one_may_want():
    headings = re.findall(r"^## (.+)$", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[0] == "I want to ..."


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_an_issue_s_form_asks_for_something(path):
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path.stem == "config":
        assert form == {"blank_issues_enabled": True}
        return
    assert form["name"] and form["description"] and len(form["body"]) > 0
    ids = [field["id"] for field in form["body"]]
    assert len(set(ids)) == len(ids) and all(field["attributes"]["label"] for field in form["body"])
    assert any(field.get("validations", {}).get("required") for field in form["body"])


def test_the_changelog_has_this_version():
    assert f"## {CITATION['version']}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_citation_is_the_readme_s():
    paper = CITATION["preferred-citation"]
    authors = ", ".join(f"{who['given-names']} {who['family-names']}" for who in paper["authors"])
    said = f'{authors}, "{paper["title"]}", {paper["conference"]["name"]}'
    assert said in README.read_text(encoding="utf-8")
