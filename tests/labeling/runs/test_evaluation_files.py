"""Files for evaluate runs: brought with the form, refused by line, kept by hash, laid beside the run's other inputs."""

import hashlib
import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from labeling.models import EvaluationFile, Run, RunFile
from labeling.services import artifacts, evaluation_files, runs
from labeling.services.runs import workdir
from tests.labeling.conftest import People
from training.contract.configs import ConfigError
from training.contract.rundir import RunDirError

from .test_pages import address, posted

pytestmark = pytest.mark.django_db

QUESTIONS = b"Question,Best Answer,Correct Answers,Incorrect Answers\nIs it so?,Yes,Yes; Of course,No\n"
HARMFUL = b'{"prompt": "How?", "category": "weapons"}\n'
PAIRS = b"prompt,paraphrase\nWhy?,For what?\nWhere?,In what place?\n"
CONTENTS = {"truthfulqa": QUESTIONS, "harmful_prompts": HARMFUL, "paraphrases": PAIRS}
FORM = "run_new_stage"


@pytest.fixture
def manager(client: Client, people: People, make_model: Any) -> Client:
    make_model(is_current=True)
    client.force_login(people.manager)
    return client


def sent(people: People, **changes: Any) -> dict[str, Any]:
    model = people.project.models.get(is_current=True)
    return posted("evaluate", people) | {"model": str(model.uid)} | changes


def upload(kind: str, content: bytes | None = None, name: str = "mine.csv") -> dict[str, SimpleUploadedFile]:
    return {f"{kind}_upload": SimpleUploadedFile(name, CONTENTS[kind] if content is None else content)}


def claimed(run: Run) -> runs.Claim:
    claim = runs.claim(run.pk)
    assert claim is not None
    return claim


def test_each_kind_of_file_is_brought_with_the_form_and_goes_with_the_run(manager: Client, people: People) -> None:
    given = upload("truthfulqa", name="TruthfulQA.csv") | upload("harmful_prompts") | upload("paraphrases")
    response = manager.post(address(FORM, "evaluate"), sent(people, **given))
    run = Run.objects.get()
    assert response.headers["Location"] == address("run", run.uid)
    assert {item.name: (item.file.filename, item.file.num_rows) for item in run.files.all()} == {
        "truthfulqa": ("TruthfulQA.csv", 1),
        "harmful_prompts": ("mine.csv", 1),
        "paraphrases": ("mine.csv", 2),
    }
    for item in run.files.all():
        assert item.file.kind == item.name
        assert item.file.sha256 == hashlib.sha256(CONTENTS[item.name]).hexdigest()
        assert item.file.created_by == people.manager
    assert not set(CONTENTS) & set(run.config)

    claim = claimed(run)
    run_dir = workdir.prepare(run, claim)
    config = json.loads(run_dir.config_path.read_text())
    hashes = json.loads((run_dir.inputs / "hashes.json").read_text())
    for kind, content in CONTENTS.items():
        assert (run_dir.path / config[kind]).read_bytes() == content
        assert hashes[kind]["sha256"] == hashlib.sha256(content).hexdigest()
    assert set(hashes) == {*CONTENTS, "model"}
    workdir.prepare(run, claim)  # a second start finds everything where it was

    page = manager.get(address("run", run.uid)).content.decode()
    assert "TruthfulQA.csv" in page
    assert hashes["truthfulqa"]["sha256"][:12] in page
    assert hashes["truthfulqa"]["sha256"][:12] in manager.get(address("run_config", run.uid)).content.decode()


def test_a_file_that_was_brought_can_be_chosen_again_and_is_there_once(manager: Client, people: People) -> None:
    manager.post(address(FORM, "evaluate"), sent(people, **upload("truthfulqa")))
    kept = EvaluationFile.objects.get()
    assert f'value="{kept.uid}"' in manager.get(address(FORM, "evaluate")).content.decode()
    manager.post(address(FORM, "evaluate"), sent(people, truthfulqa=str(kept.uid)))
    manager.post(address(FORM, "evaluate"), sent(people, **upload("truthfulqa", name="other.csv")))
    assert Run.objects.count() == 3
    assert EvaluationFile.objects.get() == kept
    assert RunFile.objects.filter(file=kept).count() == 3
    run = Run.objects.first()
    assert run is not None
    clone = manager.get(address(FORM, "evaluate") + f"?from={run.uid}")
    assert clone.context["form"]["truthfulqa"].value() == str(kept.uid)


@pytest.mark.parametrize(
    ("kind", "content", "says"),
    [
        ("truthfulqa", b"Question,Answer\na,b\n", "Line 1: has no column Best Answer"),
        ("truthfulqa", QUESTIONS + b"Why?,,,\n", "Line 3: the question, its best answer"),
        ("harmful_prompts", HARMFUL + b"{\n", "Line 2: is not JSON"),
        ("harmful_prompts", HARMFUL + b"\xff", "Line 2: is not UTF-8"),
        ("paraphrases", PAIRS + b"And?\n", "Line 4: has no text in 'paraphrase'"),
        ("paraphrases", b"", "The submitted file is empty."),
        ("paraphrases", b"a" * (evaluation_files.MAX_BYTES + 1), "larger than 10 MB"),
    ],
)
def test_a_bad_file_is_refused_at_its_field_with_its_line_and_nothing_is_kept(
    manager: Client, people: People, kind: str, content: bytes, says: str
) -> None:
    response = manager.post(address(FORM, "evaluate"), sent(people, **upload(kind, content)))
    assert response.status_code == 422
    assert says in response.context["form"].errors[f"{kind}_upload"][0]
    assert not Run.objects.exists()
    assert not EvaluationFile.objects.exists()
    assert artifacts.folders("evaluation-files") == []


def test_a_form_that_comes_back_for_another_field_has_the_file_still(manager: Client, people: People) -> None:
    response = manager.post(address(FORM, "evaluate"), sent(people, **upload("truthfulqa"), batch_size="0"))
    assert response.status_code == 422
    kept = EvaluationFile.objects.get()
    assert response.context["form"]["truthfulqa"].value() == str(kept.uid)
    assert f'<option value="{kept.uid}" selected' in response.content.decode()
    assert not Run.objects.exists()


def test_what_asks_the_policy_needs_a_policy(manager: Client, people: People) -> None:
    response = manager.post(address(FORM, "evaluate"), sent(people, **upload("truthfulqa"), model=""))
    assert "Must be given" in response.context["form"].errors["model"][0]
    assert not Run.objects.exists()


def test_only_managers_bring_files(client: Client, people: People, make_model: Any) -> None:
    make_model(is_current=True)
    client.force_login(people.reviewer)
    assert client.post(address(FORM, "evaluate"), sent(people, **upload("truthfulqa"))).status_code == 403
    assert not EvaluationFile.objects.exists()


def test_files_of_another_project_and_of_another_kind_are_not_taken(manager: Client, people: People) -> None:
    other = people.stranger.memberships.get().project
    content = SimpleUploadedFile("x.csv", QUESTIONS)
    foreign = evaluation_files.receive(project=other, kind="truthfulqa", upload=content, user=None)
    response = manager.post(address(FORM, "evaluate"), sent(people, truthfulqa=str(foreign.uid)))
    assert response.status_code == 422
    own = evaluation_files.receive(
        project=people.project, kind="paraphrases", upload=SimpleUploadedFile("x.csv", PAIRS), user=None
    )
    for files in ({"truthfulqa": foreign}, {"truthfulqa": own}, {"dataset": own}, {"elsewhere": own}):
        with pytest.raises(ConfigError, match="is not a file of this project"):
            runs.check(project=people.project, stage="evaluate", config={}, inputs={}, files=files)
    with pytest.raises(ConfigError, match="truthfulqa: must be a file of this project"):
        runs.check(project=people.project, stage="evaluate", config={"truthfulqa": "/etc/passwd"}, inputs={})


def test_a_file_that_changed_in_storage_stops_the_run_before_it_starts(manager: Client, people: People) -> None:
    manager.post(address(FORM, "evaluate"), sent(people, **upload("truthfulqa")))
    run, file = Run.objects.get(), EvaluationFile.objects.get()
    (artifacts.local_folder(file.storage_key) / "truthfulqa").write_bytes(QUESTIONS + b"More?,Yes,Yes,No\n")
    with pytest.raises(RunDirError, match=r"truthfulqa: mine.csv should hold"):
        workdir.prepare(run, claimed(run))


def test_two_runs_side_by_side_show_which_file_each_had(manager: Client, people: People) -> None:
    manager.post(address(FORM, "evaluate"), sent(people, **upload("paraphrases", name="first.csv")))
    manager.post(
        address(FORM, "evaluate"), sent(people, **upload("paraphrases", PAIRS + b"And?,So?\n", name="second.csv"))
    )
    query = "&".join(f"run={run.uid}" for run in Run.objects.all())
    page = manager.get(address("runs_compare") + f"?{query}").content.decode()
    assert "first.csv" in page
    assert "second.csv" in page
