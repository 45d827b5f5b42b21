"""A run from claim to end with a stage that succeeds, fails, dies, or is asked to stop."""

import errno
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now

from labeling import launcher
from labeling.models import Model, Prompt, Response, Run, RunEvent, RunLog, RunMetric
from labeling.services import artifacts, runs
from labeling.services.runs import publishing, supervision
from labeling.services.runs.states import Superseded
from labeling.services.runs.workdir import run_dir_of
from tests.labeling.conftest import People
from training.contract import configs

pytestmark = pytest.mark.django_db(transaction=True)


def steps(run: Run) -> list[int]:
    return list(RunMetric.objects.filter(run=run).values_list("step", flat=True))


def log(run: Run) -> str:
    return "".join(RunLog.objects.filter(run=run).values_list("text", flat=True))


def history(run: Run) -> list[str]:
    return list(RunEvent.objects.filter(run=run).values_list("to_state", flat=True))


def wait_until(condition: Any, seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)


def when(condition: Any, act: Any) -> threading.Thread:
    """Do something from another thread as soon as a condition holds."""

    def wait() -> None:
        try:
            wait_until(condition)
            act()
        finally:
            connection.close()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_a_stage_that_ends_well_leaves_a_model_its_curve_and_its_log(make_run: Any, fake_stage: Any) -> None:
    run = make_run()
    runs.work(run.pk)

    run.refresh_from_db()
    assert (run.state, run.phase, run.step, run.num_steps, run.lease_until) == ("succeeded", "done", 6, 6, None)
    assert history(run) == ["draft", "queued", "running", "succeeded"]
    assert steps(run) == [1, 2, 3, 4, 5, 6]
    assert log(run) == "fake reward begins\n" + "".join(f"step {step}\n" for step in range(1, 7))
    assert run.result["summary"] == {"fake/accuracy": 0.75, "num_parameters": 7}
    assert run.result["report"] == {"accuracy": 0.75}

    model = Model.objects.get(run=run)
    assert (model.kind, model.parent.name, model.num_parameters) == ("reward", "base", 7)  # type: ignore[union-attr]
    names = set(artifacts.names(run.result["storage_key"]))
    assert {"outputs/model/model.safetensors", "config.json", "manifest.json", "metrics.jsonl", "log.txt"} <= names
    assert not run_dir_of(run).checkpoints.exists(), "what is published needs no checkpoint"


def test_the_stage_reads_its_inputs_in_the_run_directory(make_run: Any, fake_stage: Any) -> None:
    run = make_run()
    runs.work(run.pk)

    run_dir = run_dir_of(run)
    config = configs.load("reward", run_dir.config_path)
    assert configs.dump(config)["init_model"] == "inputs/init_model"
    assert (run_dir.inputs / "init_model" / "model.safetensors").read_text() == "weights of base"
    hashes = json.loads((run_dir.inputs / "hashes.json").read_text())
    assert hashes["init_model"]["sha256"] == Model.objects.get(name="base").sha256


def test_the_stage_sees_no_secret_of_the_web_application(
    make_run: Any, fake_stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DJANGO_SECRET_KEY", "DATABASE_URL", "REDIS_URL", "AWS_SECRET_ACCESS_KEY", "PODIUM_EMAIL_URL"):
        monkeypatch.setenv(name, "a secret")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    run = make_run()
    runs.work(run.pk)

    seen = json.loads((run_dir_of(run).path / "environment.json").read_text())
    assert "a secret" not in seen.values()
    assert not {"DATABASE_URL", "REDIS_URL", "DJANGO_SECRET_KEY", "PODIUM_HOME", "DJANGO_SETTINGS_MODULE"} & set(seen)
    assert seen["OMP_NUM_THREADS"] == "1"


def test_the_stage_works_in_its_run_directory_so_that_no_name_is_a_folder_elsewhere(
    make_run: Any, fake_stage: Any
) -> None:
    run = make_run()
    runs.work(run.pk)
    assert (run_dir_of(run).path / "cwd").read_text() == str(run_dir_of(run).path)


def test_a_stage_that_says_why_it_failed_is_not_tried_again(make_run: Any, fake_stage: Any) -> None:
    fake_stage(fail_at=3)
    run = make_run()
    runs.work(run.pk)

    run.refresh_from_db()
    assert (run.state, run.failure_kind, run.attempt) == ("failed", "failed", 1)
    assert run.error == "NonFiniteError: the loss is not finite"
    assert not Model.objects.filter(run=run).exists()


@pytest.mark.parametrize("code", [1, 2, 3, 137])
def test_a_stage_that_ends_without_saying_why_has_crashed(make_run: Any, fake_stage: Any, code: int) -> None:
    fake_stage(exit=code)
    run = make_run()
    for attempt in (1, 2):
        runs.work(run.pk)
        run.refresh_from_db()
        assert (run.state, run.attempt) == ("queued", attempt)
    runs.work(run.pk)

    run.refresh_from_db()
    assert (run.state, run.failure_kind, run.attempt) == ("failed", "crashed", 3)
    assert not Model.objects.filter(run=run).exists()


def test_an_old_failure_does_not_excuse_a_new_crash(make_run: Any, fake_stage: Any, people: People) -> None:
    fake_stage(fail_at=3)
    run = make_run()
    runs.work(run.pk)
    run.refresh_from_db()
    runs.resume(run, user=people.manager)
    fake_stage(exit=1)
    runs.work(run.pk)
    run.refresh_from_db()
    assert run.state == "queued", "a crash is tried again"


def test_a_killed_stage_goes_on_from_its_checkpoint_and_its_curve_has_each_step_once(
    make_run: Any, fake_stage: Any
) -> None:
    fake_stage(steps=9, die_at=6)
    run = make_run()
    runs.work(run.pk)
    run.refresh_from_db()
    assert run.state == "queued"
    assert steps(run) == [1, 2, 3, 4, 5]
    assert "SIGKILL" in RunEvent.objects.filter(run=run).last().message  # type: ignore[union-attr]

    runs.work(run.pk)
    run.refresh_from_db()
    assert (run.state, run.attempt) == ("succeeded", 2)
    assert steps(run) == list(range(1, 10))
    rows = run_dir_of(run).read_metrics()[0]
    assert [row.time for row in rows] == list(RunMetric.objects.filter(run=run).values_list("time", flat=True))
    assert log(run).count("step 5\n") == 2, "the log tells that step 5 was done twice"
    assert log(run) == run_dir_of(run).read_log()[0]


def test_lines_and_use_of_the_machine_go_on_over_a_crash(make_run: Any, fake_stage: Any) -> None:
    fake_stage(steps=9, die_at=6)
    run = make_run()
    for _ in range(2):
        runs.work(run.pk)
    numbered = [(piece.first_line, piece.text) for piece in RunLog.objects.filter(run=run)]
    before = 1
    for first_line, text in numbered:
        assert first_line == before
        before += text.count("\n")
    assert before - 1 == run_dir_of(run).log_path.read_text().count("\n")
    used = [row.values["system/cpu_percent"] for row in run.usage.all()]
    assert used == [51, 52, 53, 54, 55, 55, 56, 57, 58, 59]  # step 5 was done twice, and both times were measured


def test_files_beside_the_outputs_keep_their_hashes(make_run: Any, fake_stage: Any) -> None:
    run = make_run()
    runs.work(run.pk)
    run.refresh_from_db()
    assert set(run.result["beside"]) == {"metrics.jsonl", "usage.jsonl", "log.txt", "manifest.json"}
    for name, entry in run.result["beside"].items():
        with artifacts.storage().open(f"{run.result['storage_key']}/{name}", "rb") as file:
            data = file.read()
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (entry["sha256"], entry["bytes"])


def test_cancelling_a_running_stage_stops_it_after_a_checkpoint(make_run: Any, fake_stage: Any, people: People) -> None:
    fake_stage(steps=500, step_s=0.05)
    run = make_run()
    thread = when(lambda: steps(run), lambda: runs.cancel(Run.objects.get(pk=run.pk), user=people.manager))
    runs.work(run.pk)
    thread.join()

    run.refresh_from_db()
    assert run.state == "cancelled"
    assert history(run)[-2:] == ["cancelling", "cancelled"]
    events = list(RunEvent.objects.filter(run=run).values_list("actor", "message"))[-2:]
    assert events[0][0] == "Mira"
    assert events[1][1] == "its stage wrote a checkpoint and stopped"
    checkpoint = int((run_dir_of(run).checkpoints / "step").read_text())
    assert checkpoint == steps(run)[-1] < 500

    fake_stage(steps=checkpoint + 2)
    runs.resume(run, user=people.manager)
    runs.work(run.pk)
    run.refresh_from_db()
    assert run.state == "succeeded"
    assert steps(run) == list(range(1, checkpoint + 3))


def test_a_stage_that_does_not_listen_is_killed_after_the_grace_time(
    make_run: Any, fake_stage: Any, people: People, settings: Any
) -> None:
    settings.RUN_GRACE_SECONDS = 0.2
    fake_stage(steps=500, step_s=0.05, deaf=True)
    run = make_run()
    thread = when(lambda: steps(run), lambda: runs.cancel(Run.objects.get(pk=run.pk), user=people.manager))
    runs.work(run.pk)
    thread.join()
    run.refresh_from_db()
    assert run.state == "cancelled"
    assert "killed by SIGKILL" in RunEvent.objects.filter(run=run).last().message  # type: ignore[union-attr]
    assert launcher.find(run_dir_of(run)) is None


def test_a_worker_that_is_asked_to_go_hands_its_run_back(
    make_run: Any, fake_stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_stage(steps=500, step_s=0.05)
    monkeypatch.setattr(supervision, "_worker_goes", bytearray(1))
    run = make_run()
    thread = when(lambda: steps(run), supervision.ask_worker_to_go)
    runs.work(run.pk)
    thread.join()
    run.refresh_from_db()
    assert (run.state, run.attempt) == ("queued", 0)


def test_a_worker_whose_run_was_taken_over_stops_its_stage_and_writes_nothing_more(
    make_run: Any, fake_stage: Any
) -> None:
    fake_stage(steps=500, step_s=0.05)
    run = make_run()

    def take_over() -> (
        None
    ):  # what a claim of a lapsed run does, in one step: this worker renews its lease all the time
        Run.objects.filter(pk=run.pk).update(fence=F("fence") + 1, owner="another worker")

    thread = when(lambda: steps(run), take_over)
    runs.work(run.pk)
    thread.join()

    run.refresh_from_db()
    assert (run.state, run.owner, run.fence) == ("running", "another worker", 2)
    assert launcher.find(run_dir_of(run)) is None
    num_steps = len(steps(run))
    time.sleep(0.2)
    assert len(steps(run)) == num_steps


def test_a_spoilt_result_is_never_published(make_run: Any, fake_stage: Any) -> None:
    fake_stage(spoil=True)
    run = make_run()
    runs.work(run.pk)
    run.refresh_from_db()
    assert run.state == "queued"
    assert "model.safetensors: changed" in RunEvent.objects.filter(run=run).last().message  # type: ignore[union-attr]
    assert not Model.objects.filter(run=run).exists()


def test_a_full_disk_is_said_and_the_result_is_published_once_there_is_room(
    make_run: Any, fake_stage: Any, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(**_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    run = make_run()
    with monkeypatch.context() as patch:
        patch.setattr(artifacts, "put_file", full)
        for _ in range(run.max_attempts):
            runs.work(run.pk)
    run.refresh_from_db()
    assert (run.state, run.failure_kind) == ("failed", "crashed")
    assert "No space left on device" in run.error
    assert not Model.objects.filter(run=run).exists()

    runs.resume(run, user=people.manager)
    fake_stage(exit=1)  # its work is done: it must not be started again
    runs.work(run.pk)
    run.refresh_from_db()
    assert run.state == "succeeded"
    assert Model.objects.filter(run=run).count() == 1


def test_a_long_copy_keeps_the_lease(
    make_run: Any, fake_stage: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.RUN_LEASE_SECONDS = 1
    put_file, swept = artifacts.put_file, []

    def slow(**names: Any) -> None:
        if not swept:
            time.sleep(2.5)
            swept.append(runs.sweep()["taken_back"])
        put_file(**names)

    monkeypatch.setattr(artifacts, "put_file", slow)
    run = make_run()
    runs.work(run.pk)
    run.refresh_from_db()
    assert swept == [0]
    assert (run.state, run.attempt) == ("succeeded", 1)


def test_publishing_twice_makes_one_model(make_run: Any, fake_stage: Any) -> None:
    run = make_run()
    first = runs.claim(run.pk, owner="slow")
    assert first is not None
    Run.objects.filter(pk=run.pk).update(lease_until=Now() - timedelta(seconds=1))
    runs.work(run.pk)
    assert Model.objects.filter(run=run).count() == 1

    stale = Run.objects.get(pk=run.pk)
    stale.state = "running"  # as the slow worker remembers it
    with pytest.raises(Superseded):
        publishing.publish(run=stale, claim=first, run_dir=run_dir_of(run))
    assert Model.objects.filter(run=run).count() == 1
    assert RunEvent.objects.filter(run=run, to_state="succeeded").count() == 1


def test_a_worker_that_died_while_publishing_is_followed_by_one_that_publishes(
    make_run: Any, fake_stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Died(BaseException):
        pass

    def die(*, run: Run, claim: Any, run_dir: Any) -> None:
        artifacts.put_file(source=run_dir.manifest_path, name=f"runs/{run.uid}/{claim.fence}/half")
        raise Died

    run = make_run()
    with monkeypatch.context() as patch:
        patch.setattr(publishing, "publish", die)
        with pytest.raises(Died):
            runs.work(run.pk)
    Run.objects.filter(pk=run.pk).update(lease_until=Now() - timedelta(seconds=1))
    fake_stage(exit=1)  # it must not even be started
    runs.work(run.pk)

    run.refresh_from_db()
    assert (run.state, run.attempt) == ("succeeded", 2)
    assert steps(run) == [1, 2, 3, 4, 5, 6]
    assert list(artifacts.names(f"runs/{run.uid}/1")) == [], "what the dead worker had begun to copy is cleared away"


def test_a_changed_input_is_noticed_before_the_stage_starts(make_run: Any, fake_stage: Any, tmp_path: Path) -> None:
    run = make_run()
    (artifacts.local_folder("models/base") / "model.safetensors").write_text("other weights")
    runs.work(run.pk)
    run.refresh_from_db()
    assert run.state == "queued"
    assert "not those that were registered" in RunEvent.objects.filter(run=run).last().message  # type: ignore[union-attr]
    assert not (run_dir_of(run).path / "environment.json").exists()


def test_a_snapshot_whose_files_say_another_hash_is_noticed(make_run: Any, make_snapshot: Any, fake_stage: Any) -> None:
    snapshot = make_snapshot()
    run = make_run(snapshot=snapshot)
    manifest = artifacts.local_folder(snapshot.storage_key) / "manifest.json"
    manifest.write_text(manifest.read_text().replace(snapshot.sha256, "f" * 64))
    runs.work(run.pk)
    assert "its files say ffff" in RunEvent.objects.filter(run=run).last().message  # type: ignore[union-attr]


def test_a_worker_whose_run_was_taken_back_leaves_it_in_the_queue(make_run: Any, fake_stage: Any) -> None:
    fake_stage(steps=500, step_s=0.05, fail_at=400)
    run = make_run()

    def take_back() -> None:
        changed = {"owner": "", "lease_until": None, "queued_at": Now()}
        Run.objects.filter(pk=run.pk).update(state="queued", **changed)

    thread = when(lambda: steps(run), take_back)
    runs.work(run.pk)
    thread.join()
    run.refresh_from_db()
    assert run.state == "queued"
    assert launcher.find(run_dir_of(run)) is None


def test_a_run_taken_back_in_the_moment_of_its_end_stays_in_the_queue(
    make_run: Any, fake_stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_stage(fail_at=3)
    run = make_run()
    conclude = supervision._conclude

    def too_late(*arguments: Any, **named: Any) -> None:
        changed = {"owner": "", "lease_until": None, "queued_at": Now()}
        Run.objects.filter(pk=run.pk).update(state="queued", **changed)
        conclude(*arguments, **named)

    monkeypatch.setattr(supervision, "_conclude", too_late)
    runs.work(run.pk)
    run.refresh_from_db()
    assert (run.state, run.error) == ("queued", "")


def test_generated_responses_come_in_once_and_what_does_not_is_counted(
    make_run: Any, make_model: Any, make_snapshot: Any, make_prompt: Any, fake_stage: Any, settings: Any
) -> None:
    prompt: Prompt = make_prompt("Why?", k=0)
    model = make_model("sampler")

    def row(index: int, **fields: Any) -> str:
        values = {
            "prompt_id": prompt.content_hash,
            "sample_index": index,
            "text": f"Because {index}.",
            "finish_reason": "stop",
            "num_tokens": 3,
            "error": "",
        }
        return json.dumps(values | fields)

    rows = [
        row(0),
        row(1, text="As ChatGPT, I\0 say so."),
        row(2, text="", finish_reason="error", error="timeout"),
        row(3, prompt_id="f" * 64),
    ]
    (settings.RUNS_DIR / "responses.jsonl").write_text("\n".join(rows) + "\n")
    generate = {
        "stage": "generate",
        "config": configs.preset("generate", "tiny-cpu"),
        "inputs": {"model": model, "prompts": make_snapshot("prompts")},
    }
    first, second = make_run(**generate), make_run(**generate)
    runs.work(first.pk)
    runs.work(second.pk)

    first.refresh_from_db()
    assert first.result["responses"] == {
        "taken": 2,
        "refused": {"timeout": 1, "its prompt is no longer in the project": 1},
    }
    found = Response.objects.filter(prompt=prompt, model=model).order_by("sample_index")
    assert [(item.sample_index, item.run_id) for item in found] == [
        (0, first.pk), (1, first.pk), (2, second.pk), (3, second.pk),
    ]  # fmt: skip
    assert [item.names_itself for item in found][:2] == [False, True]


def test_a_stage_dies_with_the_worker_that_started_it(
    make_run: Any, fake_stage: Any, worker_environment: dict[str, str]
) -> None:
    fake_stage(steps=2000, step_s=0.05)
    run = make_run()
    program = f"import django; django.setup(); from labeling.services import runs; runs.work({run.pk})"
    environment = worker_environment | {"DJANGO_SETTINGS_MODULE": "config.settings"}
    worker = subprocess.Popen([sys.executable, "-c", program], env=environment)
    when(lambda: steps(run), worker.kill).join()
    worker.wait(10)

    wait_until(lambda: launcher.find(run_dir_of(run)) is None)
    run.refresh_from_db()
    assert run.state == "running", "nobody has noticed yet"

    Run.objects.filter(pk=run.pk).update(lease_until=Now() - timedelta(seconds=1))
    runs.sweep()
    fake_stage(steps=int((run_dir_of(run).checkpoints / "step").read_text()) + 2)
    runs.work(run.pk)
    run.refresh_from_db()
    assert (run.state, run.attempt) == ("succeeded", 2)
    assert steps(run) == list(range(1, run.step + 1))


def test_what_a_stage_started_ends_with_it(make_run: Any, fake_stage: Any) -> None:
    fake_stage(with_child=True)
    run = make_run()
    runs.work(run.pk)
    child = int((run_dir_of(run).path / "child").read_text())
    wait_until(lambda: launcher.children.command_of(child) == "", seconds=5)


def test_a_stage_left_over_in_a_run_directory_is_ended_before_another_starts(
    make_run: Any, fake_stage: Any, tmp_path: Path
) -> None:
    run = make_run()
    run_dir = run_dir_of(run)
    run_dir.create()
    left = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)", str(run_dir.path)], start_new_session=True
    )
    (run_dir.path / launcher.PROCESS_FILE).write_text(json.dumps({"pid": left.pid}))
    wait_until(lambda: launcher.find(run_dir) == left.pid)  # the kernel shows a command line a moment after exec

    runs.work(run.pk)
    assert left.wait(5) == -9
    run.refresh_from_db()
    assert run.state == "succeeded"


def test_a_process_number_that_went_to_another_program_is_left_alone(make_run: Any, fake_stage: Any) -> None:
    run = make_run()
    run_dir = run_dir_of(run)
    run_dir.create()
    (run_dir.path / launcher.PROCESS_FILE).write_text(json.dumps({"pid": os.getpid()}))
    assert launcher.end_leftover(run_dir) is False


def test_without_a_database_the_stage_goes_on_until_the_lease_is_over(
    make_run: Any, fake_stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.db import OperationalError

    fake_stage(steps=30, step_s=0.02)
    run = make_run()
    tick, calls = supervision.Mirror.tick, []

    def away_for_a_while(self: Any, *, is_last: bool = False) -> str:
        calls.append(is_last)
        if 3 <= len(calls) <= 6 and not is_last:
            raise OperationalError("the server closed the connection")
        return tick(self, is_last=is_last)

    monkeypatch.setattr(supervision.Mirror, "tick", away_for_a_while)
    runs.work(run.pk)
    run.refresh_from_db()
    assert run.state == "succeeded"
    assert steps(run) == list(range(1, 31))
