"""What the pages promise: links lead somewhere, tests that are named exist, lists are whole."""

import re
import tomllib
from datetime import date
from hashlib import sha256
from pathlib import Path

import pytest
import yaml

import cafrnet

ROOT = Path(__file__).parents[1]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "CHANGELOG.md"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def page(name):
    return (ROOT / name).read_text(encoding="utf-8")


def package(requirement):
    return re.match(r"[\w.-]+", requirement).group()


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(path):
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    local = [link.partition("#")[0] for link in links if not link.startswith("http")]
    assert not [link for link in local if link and not (path.parent / link).exists()]


def test_every_page_is_in_the_table_of_contents():
    listed = set(re.findall(r"\]\(([\w-]+\.md)\)", page("docs/index.md")))
    assert listed == {p.name for p in (ROOT / "docs").glob("*.md")} - {"index.md"}


def test_tests_that_the_claims_name_exist():
    named = re.findall(r"`(tests/[\w/]+\.py)?::(test_\w+)`", page("docs/claims.md"))
    assert len(named) > 20
    path, missing = "", []
    for own, name in named:  # a name without a file belongs to the file named before it
        path = own or path
        if f"def {name}(" not in page(path):
            missing.append(f"{path}::{name}")
    assert not missing


def test_claims_are_numbered_and_judged():
    rows = re.findall(r"^\| (\d+) \|(.+)\|$", page("docs/claims.md"), re.MULTILINE)
    assert [int(n) for n, _ in rows] == list(range(1, len(rows) + 1))
    state = re.compile(r"\b(holds|fails|open|not testable)\b")
    assert not [n for n, cells in rows if not state.search(cells.split(" | ")[-1])]


def test_each_dependency_has_its_reason():
    text = page("docs/dependencies.md").casefold()
    extras = PROJECT["optional-dependencies"]
    wanted = {package(r) for r in [*PROJECT["dependencies"], *(r for e in extras.values() for r in e)]}
    assert not [name for name in wanted if not re.search(rf"\b{re.escape(name.casefold())}\b", text)]
    assert not [name for name in extras if f"`{name}`" not in text]


def test_the_size_table_adds_up():
    table = page("docs/dependencies.md").partition("### Measured size")[2].partition("```bash")[0]
    rows = re.findall(r"^\| \**([^|*]+)\** \| \**([\d.]+)\** \|$", table, re.MULTILINE)
    sizes = {name.strip(): float(size) for name, size in rows}
    total = sizes.pop("all")
    assert sum(sizes.values()) == pytest.approx(total, abs=0.5)
    assert total <= 400


def test_one_version_everywhere():
    assert PROJECT["version"] == cafrnet.__version__
    assert yaml.safe_load(page("CITATION.cff"))["version"] == cafrnet.__version__
    assert cafrnet.__version__ in page("CHANGELOG.md")


def test_citation_names_the_software_and_the_paper():
    citation = yaml.safe_load(page("CITATION.cff"))
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= set(citation)
    assert citation["license"] == PROJECT["license"]
    (paper,) = citation["references"]
    assert paper["doi"] == "10.1371/journal.pone.0327642"
    assert [a["family-names"] for a in paper["authors"]] == ["Ma", "Dai", "Yang", "Wei", "Zhang"]
    assert date(paper["year"], paper["month"], 1) == date(2025, 7, 1)


def test_the_licence_is_apache_2_in_full():
    words = " ".join(page("LICENSE").split())
    assert words.startswith("Apache License Version 2.0, January 2004")
    assert "END OF TERMS AND CONDITIONS" in words
    # of the text as the foundation publishes it
    assert sha256((ROOT / "LICENSE").read_bytes()).hexdigest().startswith("cfc7749b96f63bd3")


def test_the_hooks_before_a_commit_fetch_nothing():
    repos = yaml.safe_load(page(".pre-commit-config.yaml"))["repos"]
    assert [r["repo"] for r in repos] == ["local"]
    assert {h["language"] for r in repos for h in r["hooks"]} == {"system", "fail"}
