"""Written answers that come in, and the three commands."""

import csv
from io import StringIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from django.core.management import CommandError, call_command

from labeling.models import Demonstration, Project, Prompt, User

from ..conftest import People
from .conftest import Take, real, reasons


def written(prompt: str, text: Any, **fields: Any) -> dict[str, Any]:
    return {"prompt": prompt, "demonstration": text, "source": "blue", **fields}


def test_a_demonstration_is_taken_with_its_writer(take: Take) -> None:
    batch = take("demonstrations", [written("Why?", "Because.", labeler="w1")])
    found = Demonstration.objects.get()
    assert (found.text, found.labeler.name, found.prompt.text, found.batch) == ("Because.", "w1 · blue", "Why?", batch)


def test_several_answers_to_a_prompt_have_several_writers(take: Take) -> None:
    take("demonstrations", [written("Why?", "One."), written("Why?", "Two.")])
    take("demonstrations", [written("Why?", "Three.")], name="later.jsonl")
    assert dict(Demonstration.objects.values_list("text", "labeler__name")) == {
        "One.": "unnamed writer 1 · blue",
        "Two.": "unnamed writer 2 · blue",
        "Three.": "unnamed writer 3 · blue",
    }


def test_a_second_reading_adds_no_demonstration(take: Take) -> None:
    rows = [written("Why?", "One."), written("Why?", "Two."), written("Why?", "Two.")]
    take("demonstrations", rows)
    again = take("demonstrations", rows)
    assert reasons(again) == {"already here": [1, 2], "twice in this file": [3]}
    assert (Demonstration.objects.count(), User.objects.filter(is_imported=True).count()) == (2, 2)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (written("Why?", ""), "no demonstration"),
        (written("Why?", " \n"), "no demonstration"),
        (written("Why?", None), "no demonstration"),
        (written("Why?", ["x"]), "demonstration is not text"),
        (written("Why?", "x\0"), "characters that cannot be stored"),
        (written("Why?", "x" * 200_001), "response too long"),
        (written("here", "x", meta={"eval_only": True}), "only for evaluation, but its prompt trains"),
        (written("here", "another", labeler="w1"), "another one by the same writer is here"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_demonstration_that_cannot_be_taken_says_why(take: Take, row: dict[str, Any], reason: str) -> None:
    take("demonstrations", [written("here", "first", labeler="w1", split="train")])
    assert reasons(take("demonstrations", [row], name="x.jsonl")) == {reason: [1]}
    assert Demonstration.objects.count() == 1
    assert Prompt.objects.count() == 1


def test_what_is_only_for_evaluation_is_in_test(take: Take) -> None:
    take("demonstrations", [written("Why?", "x", meta={"eval_only": True})])
    assert Prompt.objects.get().split == "test"


def test_the_real_demonstrations_come_in_whole(take: Take) -> None:
    batch = take("demonstrations", real("demonstrations_real.jsonl.gz"))
    assert (batch.num_rows, batch.num_taken) == (1_091, 1_089)
    assert reasons(batch) == {"twice in this file": [305, 412]}
    assert Demonstration.objects.filter(prompt__dataset="self_instruct_eval").exclude(prompt__split="test").count() == 0


# --- commands ----------------------------------------------------------------------------------------------------


def run(*args: Any, **options: Any) -> str:
    out = StringIO()
    call_command(*args, stdout=out, **options)
    return out.getvalue()


def test_a_command_prints_counts_and_writes_every_refusal(people: People, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("question,user\ntea?,anna\n,anna\ntea?,anna\nmail =x@corp.io,bob\n")
    out = run("import_prompts", path, "--project", "tea", "--refusals", tmp_path / "no.csv")
    assert "taken                                                 1" in out
    assert "no prompt                                             1   line 3" in out
    assert [row[:2] for row in csv.reader((tmp_path / "no.csv").open())] == [
        ["line", "reason"],
        ["3", "no prompt"],
        ["4", "twice in this file"],
        ["5", "personal data"],
    ]


def test_a_command_maps_columns(people: People, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("prompt,what\nwrong,right\n")
    run("import_prompts", path, "--project", "tea", "--column", "prompt=what", "--dataset", "blue", "--language", "de")
    prompt = Prompt.objects.get()
    assert (prompt.text, prompt.dataset, prompt.language) == ("right", "blue", "de")


def test_a_folder_of_a_saved_dataset_is_read_with_its_splits(people: People, tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / "data" / split).mkdir(parents=True)
        table = pa.table({"prompt": [f"{split} 1", f"{split} 2"]})
        with pa.ipc.new_stream(tmp_path / "data" / split / "data-00000-of-00001.arrow", table.schema) as writer:
            writer.write_table(table)
        (tmp_path / "data" / split / "dataset_info.json").write_text("{}")
    run("import_prompts", tmp_path / "data", "--project", "tea")
    assert dict(Prompt.objects.values_list("text", "split")) == {
        "train 1": "train",
        "train 2": "train",
        "test 1": "test",
        "test 2": "test",
    }
    (tmp_path / "empty").mkdir()
    with pytest.raises(CommandError, match="no data file"):
        run("import_prompts", tmp_path / "empty", "--project", "tea")


def test_a_project_is_made_only_when_asked(db: Any, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "q", "demonstration": "a"}\n')
    with pytest.raises(CommandError, match="no project “new”"):
        run("import_demonstrations", path, "--project", "new")
    run("import_demonstrations", path, "--project", "new", "--create-project")
    assert Project.objects.get(slug="new").prompts.count() == 1


@pytest.mark.parametrize(("content", "says"), [(b"", "empty"), (b"[]", "one object per line")])
def test_a_command_fails_in_words_when_the_file_cannot_be_read(
    people: People, tmp_path: Path, content: bytes, says: str
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    with pytest.raises(CommandError, match=says):
        run("import_rankings", path, "--project", "tea")
    with pytest.raises(CommandError, match="No such file"):
        run("import_rankings", tmp_path / "missing", "--project", "tea")
    assert not people.project.imports.exists()
