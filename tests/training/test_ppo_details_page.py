"""docs/ppo-details.md names a test for each detail, and each of those tests exists."""

import re

from tests.training.tiny_world import ROOT

ROW = re.compile(r"^\|(?P<detail>[^|]+)\|(?P<source>[^|]+)\| `(?P<test>test_\w+)` \|$", re.MULTILINE)
PAGE = (ROOT / "docs" / "ppo-details.md").read_text(encoding="utf-8")


def test_every_detail_names_a_test_that_exists() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests" / "training").glob("test_*.py"))
    defined = set(re.findall(r"^def (test_\w+)\(", code, re.MULTILINE))
    named = {match["test"] for match in ROW.finditer(PAGE)}
    assert len(named) > 35
    assert named - defined == set()


def test_no_row_lacks_its_test() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| detail")]
    assert [line for line in rows if not ROW.match(line)] == []
