"""Bringing a file: look, change how it is read, import, account for it."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.urls import reverse

from labeling import jobs
from labeling.models import ImportBatch, Prompt
from labeling.services import bell, imports, locks

from ..conftest import People
from ..imports.conftest import real

CSV = b"q1,topic,who\ntea?,chat,anna\n,chat,anna\ntea?,chat,anna\ncoffee?,chat,bob\n"


@pytest.fixture
def manager(client: Client, people: People) -> Client:
    client.force_login(people.manager)
    return client


Bring = Callable[..., ImportBatch]
Start = Callable[[ImportBatch], int]


@pytest.fixture
def bring(manager: Client, people: People) -> Bring:
    def upload(content: bytes, *, name: str = "rows.csv", kind: str = "prompts") -> ImportBatch:
        form = {"kind": kind, "file": SimpleUploadedFile(name, content)}
        page = manager.post(reverse("imports", args=["tea"]), form)
        assert page.status_code == 302, page.context["form"].errors
        return ImportBatch.objects.latest("pk")

    return upload


@pytest.fixture
def start(manager: Client, monkeypatch: Any, django_capture_on_commit_callbacks: Any) -> Start:
    """Press “Import”, and let the job run as a worker would. How many jobs were sent."""
    sent: list[int] = []
    monkeypatch.setattr(bell, "ring", lambda job, row_id: sent.append(row_id))

    def press(batch: ImportBatch) -> int:
        with django_capture_on_commit_callbacks(execute=True):
            manager.post(url("import_run", batch))
        for batch_id in sent:
            imports.run(batch_id)
        num_sent = len(sent)
        sent.clear()
        batch.refresh_from_db()
        return num_sent

    return press


def url(name: str, batch: ImportBatch) -> str:
    return reverse(name, args=["tea", batch.uid])


def test_a_file_is_looked_at_before_anything_is_taken(manager: Client, bring: Bring) -> None:
    batch = bring(CSV.replace(b"q1", b"question").replace(b"who", b"user"))
    page = manager.get(url("import", batch))
    found = page.context["found"]
    assert (batch.state, Prompt.objects.count()) == ("preview", 0)
    assert found.columns == {"prompt": "question", "category": "topic", "customer": "user"}
    assert (found.tally.num_taken, found.tally.num_refused, found.is_whole) == (2, 2, True)
    assert [(line, refusal and refusal.reason) for line, _, refusal in found.rows] == [
        (2, None),
        (3, "no prompt"),
        (4, "twice in this file"),
        (5, None),
    ]
    assert "Would be taken" in page.content.decode()


def test_columns_are_mapped_by_hand_and_looked_at_again(manager: Client, bring: Bring, start: Start) -> None:
    batch = bring(CSV)
    page = manager.get(url("import", batch))
    assert page.context["tally"].refused["no prompt"].count == 4, "no column is called prompt"
    form = {"column_prompt": "q1", "column_customer": "who", "personal_data": "refuse", "near_duplicates": "take"}
    manager.post(url("import", batch), form | {"dataset": "blue", "language": "en"})
    assert manager.get(url("import", batch)).context["tally"].num_taken == 2
    assert manager.post(url("import", batch), form | {"column_prompt": ""}).status_code == 200, "a prompt is needed"
    start(batch)
    assert set(Prompt.objects.values_list("text", "customer", "dataset", "language", "category")) == {
        ("tea?", "anna", "blue", "en", ""),
        ("coffee?", "bob", "blue", "en", ""),
    }


def test_an_import_runs_once_and_accounts_for_every_row(manager: Client, bring: Bring, start: Start) -> None:
    batch = bring(CSV.replace(b"q1", b"prompt"))
    assert start(batch) == 1
    assert (batch.state, batch.num_rows, batch.num_taken, batch.num_refused) == ("done", 4, 2, 2)
    assert start(batch) == 0
    assert (batch.num_rows, Prompt.objects.count()) == (4, 2)
    page = manager.get(url("import", batch) + "?reason=no+prompt")
    assert [row.line for row in page.context["page"]] == [3]
    assert "Import</button>" not in page.content.decode()


def test_refusals_are_downloaded_with_formulas_made_harmless(manager: Client, bring: Bring, start: Start) -> None:
    batch = bring(b"prompt,split\nwhy,=1+1\n")
    start(batch)
    answer = manager.get(url("import_refusals", batch))
    assert answer["Content-Disposition"].startswith("attachment")
    assert b"".join(answer.streaming_content).decode().splitlines() == [  # type: ignore[attr-defined]
        "line,reason,detail",
        "2,unknown split,'=1+1",
    ]


def test_the_progress_of_a_running_import_is_asked_for_until_it_ends(manager: Client, bring: Bring) -> None:
    batch = bring(CSV)
    ImportBatch.objects.filter(pk=batch.pk).update(state="running", counts={"num_lines": 10, "last_line": 4})
    assert "every 1s" in manager.get(url("import", batch)).content.decode()
    part = manager.get(url("import_progress", batch))
    assert 'value="4" max="10"' in part.content.decode()
    assert "HX-Refresh" not in part
    ImportBatch.objects.filter(pk=batch.pk).update(state="done")
    assert manager.get(url("import_progress", batch))["HX-Refresh"] == "true"


@pytest.fixture
def worker(monkeypatch: Any) -> None:
    """Whoever rings reaches a worker at once."""
    monkeypatch.setattr(bell, "ring", lambda job, row_id: getattr(jobs, job)(row_id))


@pytest.mark.usefixtures("worker")
def test_an_import_whose_worker_died_is_gone_on_with(bring: Bring) -> None:
    batch = bring(CSV.replace(b"q1", b"prompt"))
    ImportBatch.objects.filter(pk=batch.pk).update(state="running")
    imports.sweep()
    batch.refresh_from_db()
    assert (batch.state, batch.num_taken) == ("done", 2)


@pytest.mark.usefixtures("worker")
@pytest.mark.django_db(transaction=True)
def test_an_import_that_somebody_reads_is_left_alone(bring: Bring) -> None:
    batch = bring(CSV.replace(b"q1", b"prompt"))
    ImportBatch.objects.filter(pk=batch.pk).update(state="running")
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s, %s)", [locks.Kind.IMPORT, batch.pk])
        imports.sweep()
        batch.refresh_from_db()
        assert (batch.state, batch.num_rows) == ("running", 0)
        with other.cursor() as cursor:  # not by closing alone: the server may notice that a moment later
            cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [locks.Kind.IMPORT, batch.pk])
    finally:
        other.close()
    imports.sweep()
    batch.refresh_from_db()
    assert batch.state == "done"
    third = connection.copy()
    try:
        with third.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [locks.Kind.IMPORT, batch.pk])
            assert cursor.fetchone() == (True,), "a worker lets go of what it has read"
    finally:
        third.close()


@pytest.mark.usefixtures("worker")
def test_a_command_that_was_stopped_leaves_a_failed_import(people: People) -> None:
    batch = ImportBatch.objects.create(
        project=people.project, kind="prompts", filename="x.jsonl", file_sha256="0" * 64, state="running"
    )
    imports.sweep()
    batch.refresh_from_db()
    assert batch.state == "failed"
    assert "Run it again" in batch.error


@pytest.mark.usefixtures("worker")
def test_an_upload_that_is_gone_fails_in_words(bring: Bring) -> None:
    batch = bring(CSV)
    default_storage.delete(batch.file_key)
    ImportBatch.objects.filter(pk=batch.pk).update(state="running")
    imports.sweep()
    batch.refresh_from_db()
    assert (batch.state, batch.error) == ("failed", "The uploaded file is gone from the storage.")


def test_a_file_that_was_looked_at_can_be_thrown_away(manager: Client, bring: Bring) -> None:
    batch = bring(CSV)
    assert default_storage.exists(batch.file_key)
    manager.post(url("import_forget", batch))
    assert not ImportBatch.objects.exists()
    assert not default_storage.exists(batch.file_key)


def test_a_finished_import_is_not_thrown_away(manager: Client, bring: Bring, start: Start) -> None:
    batch = bring(CSV.replace(b"q1", b"prompt"))
    start(batch)
    manager.post(url("import_forget", batch))
    assert ImportBatch.objects.exists()


def test_the_very_same_file_is_pointed_out(manager: Client, bring: Bring, start: Start) -> None:
    content = CSV.replace(b"q1", b"prompt")
    start(bring(content))
    again = bring(content)
    page = manager.get(url("import", again))
    assert "The very same file was imported" in page.content.decode()
    assert page.context["tally"].num_taken == 0


def test_a_file_that_cannot_be_read_is_refused_in_the_form(manager: Client, people: People) -> None:
    unreadable = [(b"\x1f\x8bxx", "damaged or cut off"), (b"\xff\xfea", "UTF-16"), (b"a,a\n1,2\n", "occurs twice")]
    for content, says in unreadable:
        page = manager.post(
            reverse("imports", args=["tea"]), {"kind": "prompts", "file": SimpleUploadedFile("x.csv", content)}
        )
        assert says in page.content.decode()
    assert not ImportBatch.objects.exists()


def test_a_file_name_is_shown_and_never_a_path(manager: Client, bring: Bring) -> None:
    batch = bring(CSV, name="..%2f..\\<b>\u202egnp.csv")
    assert batch.file_key.startswith("imports/")
    assert str(batch.uid) in batch.file_key
    page = manager.get(url("import", batch)).content.decode()
    assert "<b>" not in page
    assert "\u202e" not in page


def test_hostile_text_is_shown_as_text(manager: Client, bring: Bring) -> None:
    batch = bring(b'prompt,topic\n"<script>alert(1)</script>","<img src=x onerror=alert(1)>"\n')
    page = manager.get(url("import", batch)).content.decode()
    assert "<script>alert" not in page
    assert "<img src=x" not in page


@pytest.mark.parametrize("name", ["import", "import_progress", "import_refusals"])
def test_an_import_is_only_for_the_managers_of_its_project(
    client: Client, people: People, bring: Bring, name: str
) -> None:
    batch = bring(CSV)
    for who, slug, status in [
        (people.labeler, "tea", 403),
        (people.reviewer, "tea", 403),
        (people.stranger, "tea", 404),
    ]:
        client.force_login(who)
        assert client.get(reverse(name, args=[slug, batch.uid])).status_code == status
    assert client.get(reverse(name, args=["coffee", batch.uid])).status_code == 404


@pytest.mark.parametrize("name", ["import_run", "import_forget"])
def test_nobody_else_starts_or_throws_away_an_import(client: Client, people: People, bring: Bring, name: str) -> None:
    batch = bring(CSV)
    for who, slug, status in [(people.reviewer, "tea", 403), (people.stranger, "coffee", 404)]:
        client.force_login(who)
        assert client.post(reverse(name, args=[slug, batch.uid])).status_code == status
    client.force_login(people.manager)
    assert client.get(url(name, batch)).status_code == 405
    batch.refresh_from_db()
    assert batch.state == "preview"


def test_real_rankings_are_previewed_with_their_judgements(manager: Client, bring: Bring) -> None:
    batch = bring(real("rankings_real.jsonl.gz").read_bytes(), name="rankings_real.jsonl.gz", kind="rankings")
    page = manager.get(url("import", batch))
    found = page.context["found"]
    assert len(found.rows) == 20
    assert found.tally.num_refused == 0
    assert found.columns["language"] == "lang"
    assert "consensus" in page.content.decode()
    assert not Prompt.objects.exists()
