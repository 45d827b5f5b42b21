"""What README, CONTRIBUTING and docs/ name, exists: files, links, make targets, commands, settings."""

import re
from pathlib import Path

import pytest
from django.core.management import get_commands

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "training" / "README.md"])
FOLDERS = ("config", "labeling", "training", "templates", "static", "tests", "benchmarks", "docs")
LINK = re.compile(r"\]\(([^)\s]+)\)")
PLACE = re.compile(rf"`((?:{'|'.join(FOLDERS)})/[\w./*-]*)`")
TARGET = re.compile(r"`?\bmake ([a-z][a-z-]+)\b`")
COMMAND = re.compile(r"manage\.py ([a-z_]+)")
SETTING = re.compile(r"\b(PODIUM_[A-Z0-9_]+|DATABASE_URL|REDIS_URL|DJANGO_SECRET_KEY)\b")


def named(page: Path, pattern: re.Pattern[str]) -> set[str]:
    return set(pattern.findall(page.read_text(encoding="utf-8")))


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def read_in_code() -> set[str]:
    sources = [
        ROOT / "Makefile",
        ROOT / "docker-compose.yml",
        ROOT / "docker-compose.worker.yml",
        *(ROOT / "config").glob("*.py"),
        ROOT / "training/cli.py",
    ]
    sources += [*(ROOT / "tests").rglob("*.py"), *(ROOT / "labeling").rglob("*.py")]
    return set().union(*(SETTING.findall(path.read_text(encoding="utf-8")) for path in sources))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    near = [link.split("#")[0] for link in named(page, LINK) if not re.match(r"[a-z]+:|#", link)]
    assert [link for link in near if link and not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_places_exist(page: Path) -> None:
    assert [place for place in named(page, PLACE) if not (ROOT / place).exists() and not list(ROOT.glob(place))] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_make_targets_and_commands_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z][a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert named(page, TARGET) - targets == set()
    assert named(page, COMMAND) - set(get_commands()) == set()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_settings_named_are_read_by_code(page: Path) -> None:
    assert named(page, SETTING) - read_in_code() == set()


def test_every_setting_is_described() -> None:
    described = named(ROOT / "docs" / "settings.md", SETTING)
    read = set(re.findall(r'env\.\w+\(\s*"([A-Z_]+)"', (ROOT / "config" / "settings.py").read_text()))
    read |= named(ROOT / "config" / "files.py", SETTING)
    assert read - described == set()


def test_there_is_a_page_to_look_at_for_each_pattern() -> None:
    """The patterns above find something at all."""
    everything = [
        pattern for pattern in (LINK, PLACE, TARGET, COMMAND, SETTING) if any(named(p, pattern) for p in PAGES)
    ]
    assert len(everything) == 5
