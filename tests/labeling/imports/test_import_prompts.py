"""Prompts that come in: what is taken, what is not and why, in whole batches, twice."""

from typing import Any

import pytest
from django.db import DatabaseError

from labeling.models import ImportBatch, ImportRefusal, Prompt
from labeling.services import imports
from labeling.services.files import lines
from labeling.services.imports import reading, running

from ..conftest import People
from .conftest import Take, notes, real, reasons


def asked(text: str, **fields: Any) -> dict[str, Any]:
    return {"prompt": text, **fields}


def test_a_prompt_is_taken_with_what_the_file_says_of_it(take: Take) -> None:
    row = asked("Sum up: tea.", id=7, lang="en", category="Summary", source="blue", customer="anna")
    batch = take("prompts", [row])
    prompt = Prompt.objects.get()
    assert (batch.state, batch.num_rows, batch.num_taken, batch.num_refused) == ("done", 1, 1, 0)
    assert prompt.messages == [{"role": "user", "content": "Sum up: tea."}]
    assert (prompt.external_id, prompt.language, prompt.use_case, prompt.category) == (
        "7",
        "en",
        "summarization",
        "Summary",
    )
    assert (prompt.dataset, prompt.customer, prompt.source, prompt.batch) == ("blue", "anna", "customer", batch)


def test_messages_are_taken_and_must_end_with_the_users(take: Take) -> None:
    turns = [
        {"role": "system", "content": "Be brief."},
        {"from": "human", "value": "Hi"},
        {"role": "assistant", "content": "Hello"},
    ]
    batch = take("prompts", [{"messages": [*turns, {"role": "user", "content": "Bye"}]}, {"messages": turns}])
    assert [message["role"] for message in Prompt.objects.get().messages] == ["system", "user", "assistant", "user"]
    assert reasons(batch) == {"last message is not the user's": [2]}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"prompt": "half', "not JSON"),
        ('{"prompt": NaN}', "not JSON"),
        ('{"prompt": ' + "1" * 5000 + "}", "not JSON"),
        ("[1, 2]", "not an object"),
        ('"just text"', "not an object"),
        ('{"a": ' + "[" * 40 + "]" * 40 + "}", "nested too deeply"),
        ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deeply"),
        ("{}", "no prompt"),
        ('{"prompt": ""}', "no prompt"),
        ('{"prompt": " \\n "}', "no prompt"),
        ('{"prompt": 5}', "not text or messages"),
        ('{"prompt": []}', "not text or messages"),
        ('{"prompt": ["a"]}', "not text or messages"),
        ('{"prompt": [{"role": "wizard", "content": "a"}]}', "not text or messages"),
        ('{"prompt": [{"role": "user", "content": 5}]}', "not text or messages"),
        ('{"prompt": "a\\u0000b"}', "characters that cannot be stored"),
        ('{"prompt": "a\\ud83d"}', "characters that cannot be stored"),
        ('{"prompt": "ok", "id": "\\u0000"}', "characters that cannot be stored"),
        ('{"prompt": "ok", "split": "sideways"}', "unknown split"),
        ('{"prompt": "mail anna.b@corp.io"}', "personal data"),
        ('{"prompt": "' + "x" * 60_001 + '"}', "prompt too long"),
    ],
    ids=lambda value: value[:30],
)
def test_a_row_that_cannot_be_taken_says_why_and_its_neighbours_are(take: Take, line: str, reason: str) -> None:
    batch = take("prompts", [asked("before"), line, "", asked("after")], personal_data="refuse")
    assert reasons(batch) == {reason: [2]}
    assert (batch.num_rows, batch.num_taken, batch.num_refused) == (3, 2, 1)
    assert set(Prompt.objects.values_list("text", flat=True)) == {"before", "after"}


def test_a_line_that_is_not_utf8_is_refused(take: Take) -> None:
    batch = take("prompts", b'{"prompt": "ok"}\n{"prompt": "caf\xe9"}\n')
    assert reasons(batch) == {"not UTF-8": [2]}


def test_a_line_that_is_too_long_is_refused_and_the_next_is_read(take: Take, monkeypatch: Any) -> None:
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 100)
    batch = take("prompts", [asked("x" * 300), asked("short")])
    assert reasons(batch) == {"line too long": [1]}
    assert Prompt.objects.get().text == "short"


def test_text_is_taken_as_it_is(take: Take) -> None:
    odd = "\u200bzero\u200dwidth \u200e\ufeff \x08 \x87 \r bare \u00ad soft <|endoftext|> \ue000  two  spaces \n"
    take("prompts", [asked(odd)])
    assert Prompt.objects.get().text == odd


def test_the_same_prompt_is_taken_once(take: Take) -> None:
    batch = take("prompts", [asked("tea"), asked("tea"), asked("coffee")])
    assert reasons(batch) == {"twice in this file": [2]}
    assert Prompt.objects.count() == 2


def test_a_second_reading_takes_nothing(take: Take) -> None:
    rows = [asked("tea"), asked("tea"), asked("coffee")]
    first = take("prompts", rows)
    second = take("prompts", rows)
    assert (second.num_rows, second.num_taken) == (3, 0)
    assert reasons(second) == {"already here": [1, 2, 3]}
    assert Prompt.objects.count() == 2
    assert first.file_sha256 == second.file_sha256


LETTER = "Dear assistant, please write a friendly reply to the following customer of our small shop for garden tools. "


def test_prompts_that_share_a_long_beginning_are_near_duplicates(take: Take) -> None:
    long = LETTER + "The customer says: the rake broke."
    rows = [
        asked(long),
        asked(long + " Sorry."),  # 96 % the same beginning
        asked(LETTER + "x" * 400),  # only a fifth the same beginning
        asked(LETTER[:90]),  # too short to tell
        asked(LETTER[:90] + "!"),
    ]
    batch = take("prompts", rows)
    assert reasons(batch) == {"near duplicate": [2]}
    later = take("prompts", [asked(long + " Bye.")], name="later.jsonl")
    assert reasons(later) == {"near duplicate": [1]}


def test_near_duplicates_are_taken_when_asked(take: Take) -> None:
    take("prompts", [asked(LETTER + "one"), asked(LETTER + "two")], near_duplicates="take")
    assert Prompt.objects.count() == 2


def test_a_customer_gets_no_more_prompts_in_than_the_cap(take: Take, people: People) -> None:
    people.project.prompts_per_customer = 2
    people.project.save()
    rows = [asked(f"question {number}", customer="anna") for number in range(3)] + [asked("mine", customer="bob")]
    batch = take("prompts", [*rows, asked("nobody's")])
    assert reasons(batch) == {"over the cap per customer": [3]}
    later = take("prompts", [asked("one more", customer="anna")], name="later.jsonl")
    assert reasons(later) == {"over the cap per customer": [1]}
    assert Prompt.objects.filter(customer="anna").count() == 2


def test_personal_data_is_taken_and_counted_when_asked(take: Take) -> None:
    batch = take("prompts", [asked("mail anna.b@corp.io")], personal_data="take")
    assert notes(batch) == {"personal data, taken as asked": 1}
    assert ImportRefusal.objects.count() == 0


def test_a_refusal_never_repeats_the_personal_data(take: Take) -> None:
    batch = take("prompts", [asked("mail anna.b@corp.io")], personal_data="refuse")
    assert "anna" not in batch.refusals.get().detail


def test_all_prompts_of_a_customer_are_in_one_split(take: Take) -> None:
    take("prompts", [asked(f"q {name} {n}", customer=f"c{name}") for name in range(60) for n in range(3)])
    splits = {
        name: set(Prompt.objects.filter(customer=f"c{name}").values_list("split", flat=True)) for name in range(60)
    }
    assert all(len(split) == 1 for split in splits.values())
    assert {next(iter(split)) for split in splits.values()} == {"train", "valid", "test"}


def test_prompts_without_a_customer_go_by_their_first_message(take: Take) -> None:
    def talk(*turns: str) -> dict[str, Any]:
        roles = ["user", "assistant"] * 3
        return {"messages": [{"role": role, "content": turn} for role, turn in zip(roles, turns, strict=False)]}

    take("prompts", [row for n in range(40) for row in (talk(f"start {n}"), talk(f"start {n}", "yes", "and then?"))])
    for n in range(40):
        assert Prompt.objects.filter(text__startswith=f"start {n}\n").get().split == (
            Prompt.objects.get(text=f"start {n}").split
        )


def test_a_split_that_the_file_gives_stands(take: Take) -> None:
    rows = [asked("a", split="test"), asked("b", split="Validation"), asked("c", meta={"eval_only": True})]
    take("prompts", rows)
    assert dict(Prompt.objects.values_list("text", "split")) == {"a": "test", "b": "valid", "c": "test"}


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("こんにちは世界", "ja"),
        ("你好，世界", "zh"),
        ("안녕하세요", "ko"),
        ("สวัสดี", "th"),
        ("Hallo Welt", ""),
        ("Привет", ""),
    ],
)
def test_a_language_is_guessed_only_where_the_script_tells(take: Take, text: str, language: str) -> None:
    take("prompts", [asked(text)])
    assert Prompt.objects.get().language == language


def test_unknown_categories_are_kept_and_counted(take: Take) -> None:
    batch = take(
        "prompts", [asked("a", category="Grammarly"), asked("b", category="zh_roleplay"), asked("c", lang="??")]
    )
    assert dict(Prompt.objects.values_list("text", "use_case")) == {"a": "other", "b": "chat", "c": "other"}
    assert notes(batch) == {
        "category without a use case, taken as Other": 1,
        "language not a code, guessed by script": 1,
    }


def test_a_crash_in_the_middle_leaves_whole_batches_and_the_next_start_finishes(
    take: Take, people: People, monkeypatch: Any, tmp_path: Any
) -> None:
    monkeypatch.setattr(reading, "ROWS_PER_TRANSACTION", 10)
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(f'{{"prompt": "number {n}"}}\n' for n in range(35)) + "broken\n")
    save, calls = running._save, []

    def dies_at_the_third(*args: Any) -> None:
        calls.append(1)
        if len(calls) == 3:
            raise DatabaseError("the machine lost its power")
        save(*args)

    monkeypatch.setattr(running, "_save", dies_at_the_third)
    with pytest.raises(DatabaseError):
        imports.run_file(project=people.project, kind="prompts", path=path, options={})
    batch = ImportBatch.objects.get()
    assert (batch.state, batch.num_rows, Prompt.objects.count()) == ("failed", 20, 20)

    monkeypatch.setattr(running, "_save", save)
    with path.open("rb") as file:
        running.run(batch, file)
    batch.refresh_from_db()
    assert (batch.state, batch.num_rows, batch.num_taken, batch.num_refused) == ("done", 36, 35, 1)
    assert Prompt.objects.count() == 35
    assert reasons(batch) == {"not JSON": [36]}


def test_an_import_delivered_twice_counts_once(take: Take, tmp_path: Any) -> None:
    batch = take("prompts", [asked("tea")])
    with (tmp_path / "rows.jsonl").open("rb") as file:
        running.run(batch, file)
    batch.refresh_from_db()
    assert (batch.state, batch.num_rows) == ("done", 1)


def test_a_file_that_changed_since_it_was_looked_at_is_not_read(people: People, tmp_path: Any) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"prompt": "new"}\n')
    batch = ImportBatch.objects.create(project=people.project, kind="prompts", filename="x.jsonl", file_sha256="0" * 64)
    with path.open("rb") as file:
        running.run(batch, file)
    batch.refresh_from_db()
    assert (batch.state, Prompt.objects.count()) == ("failed", 0)
    assert "changed" in batch.error


def test_real_prompts_come_in_whole(take: Take) -> None:
    batch = take("prompts", real("prompts_real.jsonl.gz"), personal_data="refuse")
    assert (batch.num_rows, batch.num_taken, batch.num_refused) == (666, 662, 4)
    assert sorted(reasons(batch)) == ["twice in this file"]
    assert Prompt.objects.filter(language="th").count() == 4
    assert Prompt.objects.filter(use_case="open_qa").count() > 200


def test_real_csv_comes_in_but_for_its_broken_line(take: Take) -> None:
    batch = take("prompts", real("awesome_prompts.csv"))
    assert (batch.num_rows, batch.num_taken) == (98, 97)
    assert reasons(batch) == {"more cells than the header": [91]}
    assert Prompt.objects.filter(category="Pirate", text__startswith="Arr, ChatGPT").exists()
