"""The stage talk: the answers that generate gives, a token at a time, scored as rankings are, and its ways to end."""

import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training import tiny_world
from tests.training.tiny_world import World, run
from training import talk
from training.contract.configs import TalkConfig
from training.contract.records import Message, ResponseRow, RewardRow
from training.contract.rundir import EXIT_CANCELLED, EXIT_FAILED, RunDir
from training.contract.talk import Ask, Desk, End, Reply, Stop
from training.engine import batches, device, models
from training.engine.rewards import score_all
from training.engine.rollout import SamplingRule, row_uniforms, sample, stream
from training.engine.text import byte_text, load_text

ASKED = (Message("user", "Say something."),)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return tiny_world.build(tmp_path_factory.mktemp("world"))


def ask(id: str, **fields: Any) -> Ask:
    values: dict[str, Any] = {
        "model": 0,
        "prompt_id": "p0",
        "sample_index": 0,
        "messages": ASKED,
        "temperature": 1.0,
        "top_p": 1.0,
        "max_new_tokens": 8,
        "seed": 0,
    }
    return Ask(id=id, **(values | fields))


def config(world: World, **changes: Any) -> dict[str, Any]:
    return {"first_model": str(world.policy), "idle_seconds": 60, **changes}


def desk_in(folder: Path, *requests: Any) -> Desk:
    run_dir = RunDir(folder)
    run_dir.create()
    desk = Desk(run_dir)
    desk.clear()
    for request in requests:
        desk.hand_over(request)
    return desk


def answers(world: World, folder: Path, *asks: Ask, **changes: Any) -> list[Reply]:
    desk = desk_in(folder, *asks, End(reason="enough"))
    assert run("talk", config(world, **changes), folder) == 0
    found = [desk.reply(one.id) for one in asks]
    assert all(found)
    return [reply for reply in found if reply]


def test_a_stream_gives_the_tokens_of_a_sample(world: World) -> None:
    text = load_text(str(world.policy))
    model = models.load_policy(str(world.policy), text)
    prompt = text.prompt_ids(ASKED)
    rule = SamplingRule(end_token_id=text.end_id, pad_token_id=text.pad_id, max_new_tokens=12)
    endings = set()
    for seed in range(12):
        uniforms_BR = row_uniforms(["p/0"], seed=seed, num_draws=12)
        expected = sample(model, [prompt], uniforms_BR, rule=rule)
        assert list(stream(model, prompt, uniforms_BR[0], rule=rule)) == expected.row(0)
        endings.add(bool(expected.has_end_B[0]))
    assert endings == {True, False}, "both ways to end must be among them"


def test_an_answer_is_the_one_that_generate_gives(world: World, tmp_path: Path) -> None:
    generate = {
        "model": str(world.policy), "prompts": str(world.prompts), "num_responses": 2, "max_new_tokens": 8,
        "max_prompt_tokens": 40, "seed": 5,
    }  # fmt: skip
    assert run("generate", generate, tmp_path / "generate") == 0
    lines = (tmp_path / "generate" / "outputs" / "responses.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [ResponseRow.from_dict(json.loads(line)) for line in lines]
    expected = [(row.text, row.finish_reason, row.num_tokens) for row in rows if row.prompt_id == "p0"]

    asks = [ask(f"a-{k}", sample_index=k, seed=5) for k in (0, 1)]
    found = answers(world, tmp_path / "talk", *asks)
    assert [(reply.text, reply.finish_reason, reply.num_tokens) for reply in found] == expected
    assert len({row.text for row in rows if row.prompt_id == "p0"}) == 2, "the two samples must differ"


def test_the_same_seed_gives_the_same_answer_and_another_one_another(world: World, tmp_path: Path) -> None:
    asks = [ask("a-1", seed=1), ask("a-2", seed=1), ask("a-3", seed=2), ask("a-4", seed=1, temperature=0.0)]
    once, again, other, likeliest = answers(world, tmp_path / "run", *asks)
    assert once.text == again.text
    assert len({once.text, other.text, likeliest.text}) == 3


def test_the_reward_is_the_one_of_a_ranking_of_the_same_text(world: World, tmp_path: Path) -> None:
    asks = [ask(f"a-{k}", sample_index=k) for k in range(3)]
    found = answers(world, tmp_path / "run", *asks, reward_model=str(world.reward))
    text = load_text(str(world.reward))
    row = RewardRow(
        prompt_id="p0", prompt=list(ASKED), responses=[reply.text for reply in found], ranks=[1, 2, 3], labeler="l",
        weight=1.0, split="train", held_out=False,
    )  # fmt: skip
    [element] = batches.elements([row], text, max_prompt_tokens=60, max_response_tokens=60, cuts=batches.Cuts())
    compute = device.choose(TalkConfig(first_model="x", device="cpu"))
    [scores] = score_all(
        models.load_reward(str(world.reward), text), [element], layout="rows", max_elements=8, max_tokens=1000,
        compute=compute, pad_id=text.pad_id,
    )  # fmt: skip
    by_text = dict(zip([reply.text for reply in found], [reply.reward for reply in found], strict=True))
    assert [by_text[text] for text in dict.fromkeys(row.responses)] == pytest.approx(scores, abs=1e-6)
    assert len(set(scores)) > 1


def test_two_models_answer_what_each_is_asked(world: World, tmp_path: Path) -> None:
    text = byte_text()
    other = models.build_tiny(text, num_layers=1, width=16, num_heads=2, context=64, seed=9)
    models.save_model(other, text, tmp_path / "other")
    asks = [ask("a-1"), ask("a-2", model=1)]
    first, second = answers(world, tmp_path / "run", *asks, second_model=str(tmp_path / "other"))
    assert first.text == answers(world, tmp_path / "alone", ask("a-1"))[0].text
    assert first.text != second.text
    assert first.reward is None


def test_what_is_too_long_fails_with_a_way_out_and_the_others_are_answered(world: World, tmp_path: Path) -> None:
    long = (Message("user", "x" * 40),)
    asks = [ask("a-1", messages=long, max_new_tokens=30), ask("a-2", messages=(Message("user", "x" * 90),)), ask("a-3")]
    longer, longest, fine = answers(world, tmp_path / "run", *asks)
    assert "allow answers of at most 21 tokens" in longer.error  # 43 of 64 positions: start, user, 40 bytes, assistant
    assert longest.error.endswith(": start a new conversation.")
    assert (longer.state, longest.state, fine.state) == ("failed", "failed", "done")


def test_an_answer_that_the_reward_model_cannot_read_says_so(world: World, tmp_path: Path) -> None:
    text = byte_text()
    short = models.build_tiny(text, num_layers=1, width=16, num_heads=2, context=18, seed=3)
    models.save_model(short, text, tmp_path / "short")
    models.save_model(models.reward_from_policy(str(tmp_path / "short"), text, seed=2), text, tmp_path / "reward")
    [reply] = answers(world, tmp_path / "run", ask("a-1"), reward_model=str(tmp_path / "reward"))
    assert (reply.state, reply.reward) == ("done", None)
    assert "the reward model reads 18" in reply.note


def table(world: World, desk: Desk) -> talk.Table:
    compute = device.choose(TalkConfig(first_model="x", device="cpu"))
    return talk.Table(desk, [talk.load_speaker(str(world.policy), compute)], None)


@pytest.mark.parametrize("num_steps", [0, 1, 3])
def test_an_answer_grows_until_it_is_stopped_and_keeps_what_it_has(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_steps: int
) -> None:
    monkeypatch.setattr(talk, "WRITE_S", 0.0)
    desk = desk_in(tmp_path, ask("a-1", seed=3))
    at_work = table(world, desk)
    at_work.take_requests()
    seen = []
    for _ in range(num_steps):
        at_work.advance()
        reply = desk.reply("a-1")
        assert reply is not None
        seen.append(reply.num_tokens)
    assert seen == list(range(1, num_steps + 1))
    desk.hand_over(Stop(id="a-1"))
    at_work.take_requests()
    reply = desk.reply("a-1")
    assert reply is not None
    assert (reply.state, reply.num_tokens) == ("stopped", num_steps)
    assert not at_work.is_busy


def test_open_answers_grow_in_turns(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(talk, "WRITE_S", 0.0)
    desk = desk_in(tmp_path, ask("a-1", seed=3), ask("a-2", seed=3))
    at_work = table(world, desk)
    at_work.take_requests()
    at_work.advance()
    at_work.advance()
    replies = [desk.reply("a-1"), desk.reply("a-2")]
    assert [reply and reply.num_tokens for reply in replies] == [2, 2]


def test_half_a_character_is_not_shown(world: World) -> None:
    text = load_text(str(world.policy))
    euro = text.content_ids("5 €")
    answer = talk.Answer(ask("a-1"), text, iter(()), ids=euro[:-1])
    assert answer.reply().text == "5 "
    assert answer.reply("stopped").text == "5 \ufffd"
    answer.ids = euro
    assert answer.reply().text == "5 €"


def test_it_ends_by_itself_when_nobody_asks(world: World, tmp_path: Path) -> None:
    desk_in(tmp_path)
    assert run("talk", config(world, idle_seconds=1), tmp_path) == 0
    manifest = RunDir(tmp_path).verify_manifest()
    assert manifest["summary"] == {"ended": "idle", "num_answers": 0, "num_tokens": 0}
    assert not (tmp_path / "outputs" / "model").exists()
    assert RunDir(tmp_path).read_metrics() == ([], 0)


def test_asked_to_end_it_answers_first_what_is_open(world: World, tmp_path: Path) -> None:
    desk = desk_in(tmp_path, ask("a-1"), End(reason="another run waits"))
    assert run("talk", config(world), tmp_path) == 0
    reply = desk.reply("a-1")
    assert reply is not None
    assert reply.state == "done"
    summary = RunDir(tmp_path).verify_manifest()["summary"]
    assert summary == {"ended": "another run waits", "num_answers": 1, "num_tokens": reply.num_tokens}


def test_a_question_after_the_end_was_asked_for_is_answered_and_it_goes_on(world: World, tmp_path: Path) -> None:
    desk = desk_in(tmp_path, End(reason="another run waits"), ask("a-1"))
    assert run("talk", config(world, idle_seconds=1), tmp_path) == 0
    reply = desk.reply("a-1")
    assert reply is not None
    assert reply.state == "done"
    assert RunDir(tmp_path).verify_manifest()["summary"]["ended"] == "idle"


def test_a_cancel_ends_it_without_a_manifest(world: World, tmp_path: Path) -> None:
    desk_in(tmp_path)

    def cancel() -> None:
        while (status := RunDir(tmp_path).read_status()) is None or status.phase != "talk":
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=cancel)
    thread.start()
    assert run("talk", config(world), tmp_path) == EXIT_CANCELLED
    thread.join()
    assert RunDir(tmp_path).read_manifest() is None


def test_a_model_that_is_not_there_is_said(world: World, tmp_path: Path) -> None:
    desk_in(tmp_path / "run")
    assert run("talk", config(world, first_model=str(tmp_path / "none")), tmp_path / "run") == EXIT_FAILED
    status = RunDir(tmp_path / "run").read_status()
    assert status is not None
    assert status.error is not None
    assert "first_model" in status.error["message"]


def test_a_full_gpu_fails_the_answer_and_not_the_stage(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError

    desk = desk_in(tmp_path, ask("a-1"))
    at_work = table(world, desk)
    at_work.take_requests()
    monkeypatch.setattr(talk.Answer, "advance", full)
    at_work.advance()
    reply = desk.reply("a-1")
    assert reply is not None
    assert "memory is full" in reply.error
    assert not at_work.is_busy
