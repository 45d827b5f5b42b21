"""An evaluate run's form in a browser: a file is brought, refused with its line, mended, shown on the run's page."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from labeling.models import Model
from tests.labeling.conftest import People

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

GOOD = "Question,Best Answer,Correct Answers,Incorrect Answers\nIs it so?,Yes,Yes; Of course,No\n"


def test_a_bad_file_is_refused_with_its_line_and_a_good_one_goes_with_the_run(
    open_as: Any, people: People, tmp_path: Path
) -> None:
    Model.objects.create(
        project=people.project, name="policy-1", kind="policy", storage_key="x", sha256="0" * 64, is_current=True
    )
    bad, good = tmp_path / "bad.csv", tmp_path / "TruthfulQA.csv"
    bad.write_text(GOOD + "Why?,,,\n")
    good.write_text(GOOD)
    page = open_as(people.manager, "/p/tea/runs/new/evaluate/")
    page.locator("#id_model").select_option(index=1)
    page.locator("#id_truthfulqa_upload").set_input_files(bad)
    page.get_by_role("button", name="Start measuring").click()
    expect(
        page.get_by_text("Line 3: the question, its best answer or its incorrect answers are empty.")
    ).to_be_visible()

    page.locator("#id_truthfulqa_upload").set_input_files(good)
    page.get_by_role("button", name="Start measuring").click()
    expect(page.get_by_role("heading", name="What it reads")).to_be_visible()
    expect(page.get_by_text("TruthfulQA.csv")).to_be_visible()
