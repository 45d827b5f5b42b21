"""The generate stage: every sample accounted for, the same samples whatever happens in between."""

import json
import signal
import threading
import types
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest
from transformers.generation.continuous_batching import utils as cache_size

from tests.training import tiny_world
from tests.training.tiny_world import World, run, run_until
from training.contract.records import Message, PromptRow, ResponseRow
from training.contract.rundir import RunDir
from training.engine import continuous, data
from training.engine.rollout import SamplingRule

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return tiny_world.build(tmp_path_factory.mktemp("world"))


def config(world: World, **changes: Any) -> dict[str, Any]:
    return {
        "model": str(world.policy),
        "prompts": str(world.prompts),
        "num_responses": 3,
        "max_prompt_tokens": 40,
        "max_new_tokens": 8,
        "batch_size": 6,
        **changes,
    }


def responses(folder: Path) -> list[ResponseRow]:
    lines = (folder / "outputs" / "responses.jsonl").read_text(encoding="utf-8").splitlines()
    return [ResponseRow.from_dict(json.loads(line)) for line in lines]


def summary(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = RunDir(folder).verify_manifest()["summary"]
    return found


def test_every_prompt_has_its_k_responses_once_and_in_order(world: World, tmp_path: Path) -> None:
    assert run("generate", config(world), tmp_path / "run") == 0
    rows = responses(tmp_path / "run")
    assert [(row.prompt_id, row.sample_index) for row in rows] == [(f"p{n}", k) for n in range(6) for k in range(3)]
    assert all(row.num_tokens <= 8 and not row.error for row in rows)
    assert {row.finish_reason for row in rows} == {"stop", "length"}
    assert all((row.num_tokens == 8) for row in rows if row.finish_reason == "length")
    assert summary(tmp_path / "run")["num_cut_by_length"] == sum(row.finish_reason == "length" for row in rows)


def test_samples_depend_on_the_seed_and_not_on_the_batch(world: World, tmp_path: Path) -> None:
    for name, changes in (("a", {}), ("b", {"batch_size": 1}), ("c", {"seed": 1}), ("d", {"num_responses": 2})):
        assert run("generate", config(world, **changes), tmp_path / name) == 0
    a, b, c, d = (responses(tmp_path / name) for name in "abcd")
    assert a == b
    assert a != c
    assert d == [row for row in a if row.sample_index < 2]


def test_a_split_can_be_chosen_and_an_empty_one_is_refused(world: World, tmp_path: Path) -> None:
    assert run("generate", config(world, split="valid"), tmp_path / "valid") == 0
    assert {row.prompt_id for row in responses(tmp_path / "valid")} == {"p4", "p5"}
    assert run("generate", config(world, split="test"), tmp_path / "test") == 1
    status = RunDir(tmp_path / "test").read_status()
    assert status is not None
    assert status.error is not None
    assert status.error["field"] == "split"


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_that_was_stopped_goes_on_and_leaves_the_same_file(
    world: World, tmp_path: Path, kill: signal.Signals
) -> None:
    assert run("generate", config(world), tmp_path / "whole") == 0
    code = run_until("generate", config(world), tmp_path / "stopped", step=1, kill=kill)
    assert code == (3 if kill == signal.SIGTERM else -signal.SIGKILL)
    journal = tmp_path / "stopped" / "checkpoints" / "responses.jsonl"
    assert len(journal.read_bytes().splitlines()) == 6
    with journal.open("ab") as file:
        file.write(b'{"prompt_id": "p2", "sample')
    assert run("generate", config(world), tmp_path / "stopped") == 0
    assert responses(tmp_path / "stopped") == responses(tmp_path / "whole")
    assert "12 of 18 to sample" in (tmp_path / "stopped" / "log.txt").read_text()


def test_a_prompt_that_stands_twice_in_the_snapshot_is_refused(world: World, tmp_path: Path) -> None:
    row = PromptRow(prompt_id="same", prompt=[Message(role="user", content="x")], split="train")
    data.write_snapshot(tmp_path / "prompts", "prompts", [row, row])
    assert run("generate", config(world, prompts=str(tmp_path / "prompts")), tmp_path / "run") == 1
    assert "prompt same 2 times" in (tmp_path / "run" / "log.txt").read_text()


@pytest.fixture
def small_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """transformers makes its cache as large as nine tenths of the machine's memory, and goes through its masks at every
    token."""
    held = psutil.Process().memory_info().rss
    small = types.SimpleNamespace(
        virtual_memory=lambda: types.SimpleNamespace(total=held + (1 << 30)), Process=psutil.Process
    )
    monkeypatch.setattr(cache_size, "psutil", small)


@pytest.mark.usefixtures("small_machine")
def test_continuous_batching_gives_every_prompt_its_k_responses_in_order(world: World, tmp_path: Path) -> None:
    assert run("generate", config(world, backend="continuous", batch_size=18), tmp_path / "run") == 0
    rows = responses(tmp_path / "run")
    assert [(row.prompt_id, row.sample_index) for row in rows] == [(f"p{n}", k) for n in range(6) for k in range(3)]
    assert all(0 < row.num_tokens <= 8 and not row.error for row in rows)
    assert all(row.num_tokens == 8 for row in rows if row.finish_reason == "length")
    assert len({row.text for row in rows}) > 9


@pytest.mark.usefixtures("small_machine")
def test_the_likeliest_answers_are_those_of_our_own_loop(world: World, tmp_path: Path) -> None:
    found = {}
    for backend in ("local", "continuous"):
        wanted = config(world, backend=backend, num_responses=1, temperature=0.0)
        assert run("generate", wanted, tmp_path / backend) == 0
        found[backend] = [(row.text, row.finish_reason, row.num_tokens) for row in responses(tmp_path / backend)]
    assert found["local"] == found["continuous"]


def test_what_continuous_batching_loses_or_fails_is_an_error_at_its_place(world: World) -> None:
    output = types.SimpleNamespace

    class Model:
        def generate_batch(self, **_: Any) -> dict[str, Any]:
            return {
                "req_1__child#0": output(generated_tokens=[7], error=None),
                "req_1": output(generated_tokens=[5, 2], error=None),
                "req_0": output(generated_tokens=[], error="out of memory"),
            }

    rule = SamplingRule(end_token_id=2, pad_token_id=0, max_new_tokens=8)
    found = continuous.sample_all(Model(), [[1], [1]], rule=rule, num_samples=2, seed=0)
    assert [(one.tokens, one.has_end) for one in found] == [([], False), ([], False), ([5, 2], True), ([7], False)]
    assert "out of memory" in found[0].error
    assert "returned nothing" in found[1].error


class Peer:
    """A chat completions server that answers with the prompt and the seed, and refuses what it is told to refuse."""

    def __init__(self) -> None:
        self.is_greedy = False
        self.refused: set[str] = set()
        self.asked: list[tuple[str, int]] = []
        self.url = ""


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            prompt = body["messages"][-1]["content"]
            peer.asked.append((prompt, body["seed"]))
            refused = prompt in peer.refused
            reply = {
                "choices": [
                    {
                        "message": {"content": prompt if peer.is_greedy else f"{prompt} {body['seed']}"},
                        "finish_reason": "stop",
                    }
                ],
                "usage": {"completion_tokens": 2},
            }
            self.send_response(400 if refused else 200)
            self.end_headers()
            self.wfile.write(b"prompt refused" if refused else json.dumps(reply).encode())

        def log_message(self, *_: Any) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    peer.url = f"http://127.0.0.1:{httpd.server_port}/v1"
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield peer
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def server_config(world: World, peer: Peer, **changes: Any) -> dict[str, Any]:
    return config(world, model="", backend="openai", server_url=peer.url, server_model="m", server_retries=0, **changes)


def test_a_server_answers_each_sample_under_its_own_seed(world: World, peer: Peer, tmp_path: Path) -> None:
    assert run("generate", server_config(world, peer), tmp_path / "run") == 0
    rows = responses(tmp_path / "run")
    assert len(rows) == 18
    assert len({row.text for row in rows}) == len(set(peer.asked)) == len(peer.asked) == 18
    assert rows[0].text.startswith("Say something. ")


def test_a_server_that_says_the_same_each_time_is_noticed(world: World, peer: Peer, tmp_path: Path) -> None:
    peer.is_greedy = True
    assert run("generate", server_config(world, peer), tmp_path / "run") == 0
    assert summary(tmp_path / "run")["num_duplicates"] == 12
    assert "is the sampler greedy?" in (tmp_path / "run" / "log.txt").read_text()


def test_a_failed_sample_is_a_row_with_its_reason_and_the_others_stand(
    world: World, peer: Peer, tmp_path: Path
) -> None:
    peer.refused = {"Why?"}
    assert run("generate", server_config(world, peer), tmp_path / "run") == 0
    failed = [row for row in responses(tmp_path / "run") if row.error]
    assert [(row.prompt_id, row.sample_index) for row in failed] == [("p1", 0), ("p1", 1), ("p1", 2)]
    assert {row.error for row in failed} == {"HTTP 400: prompt refused"}
    assert all(row.text == "" and row.finish_reason == "error" for row in failed)
    assert summary(tmp_path / "run")["num_errors"] == 3
    assert summary(tmp_path / "run")["errors"] == {"HTTP 400: prompt refused": 3}


def test_a_run_without_a_single_response_fails_and_when_run_again_asks_for_what_is_missing(
    world: World, peer: Peer, tmp_path: Path
) -> None:
    peer.refused = set(tiny_world.PROMPTS)
    assert run("generate", server_config(world, peer), tmp_path / "run") == 1
    assert "no response at all: HTTP 400" in (tmp_path / "run" / "log.txt").read_text()
    assert not (tmp_path / "run" / "outputs" / "responses.jsonl").exists()
    peer.refused = set()
    peer.asked.clear()
    assert run("generate", server_config(world, peer), tmp_path / "run") == 0
    assert len(peer.asked) == 18
    assert not any(row.error for row in responses(tmp_path / "run"))
