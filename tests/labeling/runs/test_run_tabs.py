"""What a run's tabs and downloads show: log by lines, files, numbers, use of the machine; and what its list finds."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from labeling.models import Run, RunLog, RunMetric, RunUsage
from labeling.services import artifacts, runs
from labeling.services.runs import logs
from labeling.services.runs.logs import Line
from tests.labeling.conftest import People

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(make_run: Any) -> Run:
    found: Run = make_run(name="=first")
    return found


@pytest.fixture
def manager(client: Client, people: People) -> Client:
    client.force_login(people.manager)
    return client


def address(name: str, *arguments: Any) -> str:
    return reverse(name, args=["tea", *arguments])


def log(run: Run, *texts: str) -> None:
    """Pieces as the mirror leaves them."""
    line = 1
    for text in texts:
        RunLog.objects.create(run=run, text=text, first_line=line, end=0)
        line += text.count("\n")


def body(answer: Any) -> str:
    return b"".join(answer.streaming_content).decode()


# The log


def test_lines_keep_their_numbers_over_pieces_that_end_anywhere(run: Run) -> None:
    log(run, "one\ntw", "o\n\nfour\n", "five")
    tail = logs.tail(run, num_chars=1000)
    assert tail.lines == [Line(1, "one"), Line(2, "two"), Line(3, ""), Line(4, "four"), Line(5, "five")]
    assert not tail.is_cut


def test_an_ended_run_that_said_nothing_has_no_empty_box(manager: Client, run: Run) -> None:
    assert "data-log" in manager.get(address("run_log", run.uid)).content.decode(), "it may still say something"
    Run.objects.filter(pk=run.pk).update(state="cancelled", finished_at="2026-01-01T00:00Z")
    page = manager.get(address("run_log", run.uid)).content.decode()
    assert "An empty log" in page
    assert "data-log" not in page


def test_the_end_of_a_long_log_says_where_it_begins(manager: Client, run: Run) -> None:
    log(run, *(f"step {number}\n" * 10 for number in range(40)))
    tail = logs.tail(run, num_chars=200)
    assert (tail.lines[0].number, tail.lines[-1].number, tail.is_cut) == (371, 400, True)
    assert tail.last_id == RunLog.objects.latest("id").pk
    RunLog.objects.filter(run=run).order_by("id").first().delete()  # type: ignore[union-attr]
    assert "It begins with line 11 here" in manager.get(address("run_log", run.uid)).content.decode()


def test_a_search_finds_lines_of_the_whole_log_with_their_numbers(manager: Client, run: Run) -> None:
    log(run, "begin\n", *(f"step {number} loss 0.5\n" for number in range(2, 300)), "the Loss is NaN\n")
    page = manager.get(address("run_log", run.uid), {"q": "loss is"})
    found = page.context["found"]
    assert [(line.number, line.text) for line in found.lines] == [(300, "the Loss is NaN")]
    assert 'href="?line=300#L300"' in page.content.decode()
    assert "<mark>Loss is</mark>" in page.content.decode()


def test_many_hits_come_in_pages_and_all_are_counted(manager: Client, run: Run) -> None:
    log(run, *(f"step {number}\nother\n" for number in range(250)))
    first = manager.get(address("run_log", run.uid), {"q": "STEP"}).context["found"]
    assert (len(first.lines), first.total, first.has_more) == (200, 250, True)
    last = manager.get(address("run_log", run.uid), {"q": "step", "after": first.lines[-1].number}).context["found"]
    assert (len(last.lines), last.lines[0].number, last.has_more) == (50, 401, False)


@pytest.mark.parametrize("text", ["%", "_", "\\", "(", "<b>", "'"])
def test_a_search_takes_every_sign_as_itself(manager: Client, run: Run, text: str) -> None:
    log(run, "plain\n", f"a{text}b\n", "plain\n")
    page = manager.get(address("run_log", run.uid), {"q": text})
    assert [line.number for line in page.context["found"].lines] == [2]
    assert "<b></mark>" not in page.content.decode()


def test_a_line_is_shown_among_its_neighbours(manager: Client, run: Run) -> None:
    log(run, *(f"step {number}\n" for number in range(1, 1001)))
    page = manager.get(address("run_log", run.uid), {"line": "500"})
    numbers = [line.number for line in page.context["lines"]]
    assert (numbers[0], numbers[-1]) == (400, 700)
    assert 'log-line--here" id="L500"' in page.content.decode()
    assert "There is no line 9,000" in manager.get(address("run_log", run.uid), {"line": "9000"}).content.decode()
    assert manager.get(address("run_log", run.uid), {"line": "x" * 50}).status_code == 200


def test_the_log_is_downloaded_as_the_file_once_there_is_one(
    client: Client, people: People, run: Run, tmp_path: Path
) -> None:
    client.force_login(people.reviewer)
    log(run, "one\n", "two\n")
    answer = client.get(address("run_log_text", run.uid))
    assert body(answer) == "one\ntwo\n"
    assert "attachment" in answer["Content-Disposition"]

    (tmp_path / "log.txt").write_text("zero\none\ntwo\n")
    artifacts.put_file(source=tmp_path / "log.txt", name="runs/x/1/log.txt")
    Run.objects.filter(pk=run.pk).update(result={"storage_key": "runs/x/1"})
    assert body(client.get(address("run_log_text", run.uid))) == "zero\none\ntwo\n"


# Files


@pytest.fixture
def files(run: Run, tmp_path: Path) -> Any:
    """`files({"a.json": b"…"})`: the run has left these."""

    def leave(found: dict[str, bytes], beside: dict[str, bytes] | None = None) -> None:
        for name, data in (found | (beside or {})).items():
            path = tmp_path / "file"
            path.write_bytes(data)
            artifacts.put_file(source=path, name=f"runs/x/1/{name}")
        entries = {name: {"sha256": "a" * 64, "bytes": len(data)} for name, data in found.items()}
        extra = (
            {"beside": {name: {"sha256": "b" * 64, "bytes": len(data)} for name, data in beside.items()}}
            if beside
            else {}
        )
        Run.objects.filter(pk=run.pk).update(result={"files": entries, "storage_key": "runs/x/1", **extra})

    return leave


def test_every_file_has_its_size_and_hash_those_beside_the_outputs_too(manager: Client, run: Run, files: Any) -> None:
    files({"outputs/report.json": b"{}"}, {"log.txt": b"hello"})
    listed = manager.get(address("run_files", run.uid)).context["files"]
    assert [(file.name, file.num_bytes, file.sha256[:1]) for file in listed] == [
        ("outputs/report.json", 2, "a"),
        ("log.txt", 5, "b"),
    ]


def test_files_of_an_older_run_are_listed_without_what_was_not_kept(
    manager: Client, run: Run, files: Any, tmp_path: Path
) -> None:
    files({"outputs/report.json": b"{}"})
    (tmp_path / "log.txt").write_text("x")
    artifacts.put_file(source=tmp_path / "log.txt", name="runs/x/1/log.txt")
    page = manager.get(address("run_files", run.uid))
    assert [file.name for file in page.context["files"]] == ["outputs/report.json", "log.txt"]
    assert manager.get(address("run_file", run.uid, "log.txt")).status_code == 200
    assert manager.get(address("run_file", run.uid, "metrics.jsonl")).status_code == 404


def test_json_is_set_out_and_its_text_stays_text(manager: Client, run: Run, files: Any) -> None:
    files({"outputs/report.json": b'{"a":{"b":"<script>alert(1)</script>"}}'})
    page = manager.get(address("run_files", run.uid), {"show": "outputs/report.json"})
    assert page.context["preview"].text == json.dumps({"a": {"b": "<script>alert(1)</script>"}}, indent=2)
    assert "<script>alert(1)" not in page.content.decode()


def test_a_long_file_shows_its_beginning(manager: Client, run: Run, files: Any) -> None:
    files({"outputs/a.jsonl": "é".encode() * 200_000, "outputs/b.json": b"{broken"})
    preview = manager.get(address("run_files", run.uid), {"show": "outputs/a.jsonl"}).context["preview"]
    assert (preview.is_cut, set(preview.text), len(preview.text)) == (True, {"é"}, 100_000)
    assert manager.get(address("run_files", run.uid), {"show": "outputs/b.json"}).context["preview"].text == "{broken"


@pytest.mark.parametrize(
    "name", ["outputs/model.safetensors", "outputs/latin.txt", "../secret.json", "outputs/no.json", "x"]
)
def test_what_is_no_text_or_no_file_of_the_run_is_not_shown(manager: Client, run: Run, files: Any, name: str) -> None:
    files({"outputs/model.safetensors": b"text", "outputs/latin.txt": b"caf\xe9"})
    page = manager.get(address("run_files", run.uid), {"show": name})
    assert page.context["preview"] is None
    assert "not text that can be shown" in page.content.decode()


def test_a_reviewer_sees_which_files_there_are_and_into_none(
    client: Client, people: People, run: Run, files: Any
) -> None:
    files({"outputs/responses.jsonl": b'{"text": "secret"}'})
    client.force_login(people.reviewer)
    page = client.get(address("run_files", run.uid), {"show": "outputs/responses.jsonl"}).content.decode()
    assert "outputs/responses.jsonl" in page
    assert "secret" not in page
    assert address("run_file", run.uid, "outputs/responses.jsonl") not in page


# Numbers


def test_all_numbers_come_as_one_table(manager: Client, run: Run) -> None:
    RunMetric.objects.create(run=run, step=1, time=0, values={"=b/loss": 0.1, "a/accuracy": 1})
    RunMetric.objects.create(run=run, step=2, time=1.5, values={"=b/loss": None})
    answer = manager.get(address("run_metrics_csv", run.uid))
    assert body(answer).splitlines() == [
        "step,time,'=b/loss,a/accuracy",
        "1,1970-01-01T00:00:00.000+00:00,0.1,1",
        "2,1970-01-01T00:00:01.500+00:00,,",
    ]
    assert "first-metrics.csv" in answer["Content-Disposition"]


def test_use_of_the_machine_comes_after_an_id(manager: Client, run: Run) -> None:
    for number in range(3):
        RunUsage.objects.create(run=run, time=number, values={"system/cpu_percent": number})
    rows = manager.get(address("run_live", run.uid), {"usage": 0}).json()["usage"]["rows"]
    assert [row["values"]["system/cpu_percent"] for row in rows] == [0, 1, 2]
    later = manager.get(address("run_live", run.uid), {"usage": rows[1]["id"]}).json()["usage"]["rows"]
    assert [row["time"] for row in later] == [2]


def test_a_run_that_ended_unmeasured_has_no_group_for_the_machine(manager: Client, people: People, run: Run) -> None:
    assert 'data-part="usage"' in manager.get(address("run_curves", run.uid)).content.decode()
    runs.cancel(run, user=people.manager)
    assert 'data-part="usage"' not in manager.get(address("run_curves", run.uid)).content.decode()


# The list, and several side by side


def test_the_list_is_searched_and_filtered_by_tag(manager: Client, people: People, make_run: Any) -> None:
    one, other = make_run(name="baseline", text="with dropout"), make_run(name="second")
    runs.annotate(one, note=one.note, tags=["paper", "kept"])
    runs.annotate(other, note="", tags=["kept"])

    def found(**asked: str) -> set[str]:
        return {run.name for run in manager.get(address("runs"), asked).context["page"]}

    assert found(q="BASE") == found(q="dropout") == found(tag="paper") == {"baseline"}
    assert found(tag="kept") == found(q="mira") == {"baseline", "second"}
    assert found(tag="nobody's") == {"baseline", "second"}
    assert found(tag="kept", q="sec", stage="reward", state="live") == {"second"}
    page = manager.get(address("runs"))
    assert [value for value, _ in page.context["form"].fields["tag"].choices] == ["", "kept", "paper"]
    assert "No run is like that" in manager.get(address("runs"), {"q": "nothing"}).content.decode()


def test_tags_of_another_project_are_not_offered(manager: Client, people: People, make_run: Any) -> None:
    run = make_run()
    runs.annotate(run, note="", tags=["theirs"])
    Run.objects.filter(pk=run.pk).update(project=people.stranger.memberships.get().project)
    assert len(manager.get(address("runs")).context["form"].fields["tag"].choices) == 1


def test_comparing_shows_all_options_when_asked(manager: Client, make_run: Any) -> None:
    one, other = make_run(), make_run()
    page = manager.get(address("runs_compare"), {"run": [str(one.uid), str(other.uid)], "all": "1"})
    options = {row.name: row.differs for row in page.context["comparison"].options}
    assert options["learning_rate"] is False
    assert options["dataset"] is True
    html = page.content.decode()
    assert f"run={one.uid}" in html.split("Show differences only")[0].rsplit("<a", 1)[1]


def test_the_eleventh_run_is_left_out_and_that_is_said(manager: Client, make_run: Any) -> None:
    wanted = [str(make_run().uid) for _ in range(12)]
    page = manager.get(address("runs_compare"), {"run": wanted})
    assert len(page.context["comparison"].runs) == 10
    assert "2 more were ticked" in page.content.decode()


def test_a_run_that_is_being_cancelled_says_that_a_checkpoint_is_written(manager: Client, run: Run) -> None:
    leased = {"owner": "w", "lease_until": "2030-01-01T00:00Z", "started_at": "2026-01-01T00:00Z"}
    Run.objects.filter(pk=run.pk).update(state="cancelling", **leased)
    for name in ("run", "run_live"):
        assert "writes a checkpoint and stops" in manager.get(address(name, run.uid), {"head": 1}).content.decode()
