"""The manual's form and links are right, and its lists of words, packages, floors and rules are whole."""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Iterator
from configparser import ConfigParser
from typing import get_args

import pytest

import choreo.protocol
from choreo.outcome import Kind, Outcome, SagaState, StepState
from tests.docs.manual import ALL, FOLDER, PAGES, README, ROOT, Page

TOPICS = {
    "getting-started",
    "steps",
    "rollback",
    "calls",
    "verify",
    "testing",
    "operations",
    "monitoring",
    "dashboard",
    "frameworks",
    "stores",
    "replay",
    "evolution",
    "schemas",
    "protocol",
    "glossary",
    "house",
}
WORDS = {
    "saga",
    "saga type",
    "participant",
    "event",
    "action",
    "compensation",
    "outcome",
    "compensatable",
    "pivot",
    "retriable",
    "deadline",
    "observer",
    "saga log",
    "outbox",
    "schedule",
    "position",
    "dead letter",
    "fence",
    "manifest",
    "choreography",
    "timeline",
    "run",
    "trace",
}


def test_each_topic_has_a_page() -> None:
    """A page that is added or renamed is added here, too."""
    assert set(PAGES) == TOPICS


@pytest.mark.parametrize("page", PAGES.values(), ids=str)
def test_a_page_begins_with_its_title_and_a_description(page: Page) -> None:
    """`choreo docs` prints the first sentence of the first paragraph beside the topic."""
    title, paragraph, *_ = page.text.split("\n\n")
    assert re.fullmatch(r"# \S.*", title)
    sentence = re.match(r"[A-Z][^:]+?\.(?=\s)", f"{paragraph} ")
    assert sentence, "one plain sentence, without a colon"
    assert len(sentence[0]) <= 120


@pytest.mark.parametrize("page", ALL, ids=str)
def test_a_page_is_short(page: Page) -> None:
    """Pages are under 15 KB, and the README, which is read in five minutes, under 11 KB."""
    assert len(page.text.encode()) < (11_000 if page is README else 15_000)


@pytest.mark.parametrize("page", ALL, ids=str)
def test_every_link_to_a_file_leads_somewhere(page: Page) -> None:
    """Links within the repository exist, and pages of the manual link within the manual."""
    for link in page.links:
        if not link.startswith("https://"):
            target = (page.path.parent / link).resolve()
            assert target.exists(), link
            assert page is README or target.parent == FOLDER.resolve(), f"{link} is not in the wheel"


@pytest.mark.parametrize("page", ALL, ids=str)
def test_every_name_of_choreo_is_one(page: Page) -> None:
    """What a page calls `choreo.graph.derive` can be imported from there."""
    for name in set(re.findall(r"`(choreo(?:\.[a-z_]+)+)", page.text)):
        assert pkgutil.resolve_name(name), name


def test_the_readme_lists_every_page() -> None:
    assert set(re.findall(r"^\| \[([\w-]+)\]\(choreo/docs/\1\.md\)", README.text, re.MULTILINE)) == set(PAGES)


def test_the_glossary_has_every_word() -> None:
    """Those of the field, and those that a header or a table holds."""
    entries = set(re.findall(r"\*\*([a-z_ ]+)\*\*", _section("glossary", "Words")))
    own_kinds = {"start", "external", "cancellation"}
    states = {*get_args(SagaState), *get_args(StepState), *get_args(Kind)} - own_kinds
    assert WORDS | states <= entries
    outcomes = next(line for line in PAGES["glossary"].text.splitlines() if line.startswith("- **outcome**"))
    assert set(get_args(Outcome)) <= set(re.findall(r"`(\w+)`", outcomes))


def test_what_stands_in_choreo_is_the_glossary() -> None:
    """Each package and module directly under choreo has an entry, and each entry is one."""
    entries = re.findall(r"^- `(\w+)`: ", _section("glossary", "Packages"), re.MULTILINE)
    assert entries == sorted(entries)
    assert set(entries) == set(_packages())


def test_the_house_shows_the_floors_of_the_import_contract() -> None:
    """Floor by floor, with what stands beside each other on one line."""
    contract = ConfigParser()
    contract.read(ROOT / ".importlinter")
    layers = contract["importlinter:contract:floors"]["layers"].strip().splitlines()
    floors = PAGES["house"].blocks("text")[0].splitlines()
    shown = [re.split(r"  +", line)[0].split(" · ") for line in floors]
    assert [sorted(floor) for floor in shown] == [sorted(re.findall(r"\w+", layer)) for layer in layers]


def test_the_house_names_what_exists() -> None:
    """Packages, modules and folders, where a maintainer is sent."""
    named = re.findall(r"`((?:choreo|tests)/[\w/.]+)`", PAGES["house"].text)
    assert len(named) > 20
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_rules_are_those_of_the_protocol() -> None:
    """R1 to R10, called as the package's docstring calls them."""
    rules = re.findall(r"^- \*\*(R\d+ [a-z ,]+)\*\*", PAGES["protocol"].text, re.MULTILINE)
    assert [rule.split()[0] for rule in rules] == [f"R{number}" for number in range(1, 11)]
    assert re.findall(r"\*\*(R\d+ [a-z ,]+)\*\*", choreo.protocol.__doc__ or "") == rules


def test_the_states_are_those_of_the_protocol() -> None:
    for heading, states in (("States of a saga", SagaState), ("States of a step", StepState)):
        section = _section("protocol", heading)
        assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(get_args(states))


def _section(page: str, heading: str) -> str:
    return re.split(r"^## ", PAGES[page].text.partition(f"## {heading}\n")[2], flags=re.MULTILINE)[0]


def _packages() -> Iterator[str]:
    for path in (ROOT / "choreo").iterdir():
        is_code = any(path.glob("*.py")) or path.suffix == ".py"
        if (is_code and not path.name.startswith("_")) or path == FOLDER:
            yield path.stem
