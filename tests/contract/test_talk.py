"""What a worker and the stage that talks leave for each other: whole, once, and never half."""

import json
from pathlib import Path
from typing import Any

import pytest

from training.contract.records import Message
from training.contract.rundir import RunDir, RunDirError
from training.contract.talk import Ask, Desk, End, Reply, Stop


def ask(id: str = "a-1", **fields: Any) -> Ask:
    values: dict[str, Any] = {
        "model": 0,
        "prompt_id": "p",
        "sample_index": 0,
        "messages": (Message("user", "Grüße, 世界 \u2028 and on"),),
        "temperature": 1.0,
        "top_p": 1.0,
        "max_new_tokens": 8,
        "seed": 0,
    }
    return Ask(id=id, **(values | fields))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    found = Desk(RunDir(tmp_path))
    found.clear()
    return found


def reader(desk: Desk) -> Desk:
    """The other side of the counter."""
    return Desk(RunDir(desk.folder.parent))


def test_requests_come_as_they_were_handed_over_and_each_once(desk: Desk) -> None:
    stage = reader(desk)
    assert list(stage.new_requests()) == []
    desk.hand_over(ask())
    desk.hand_over(Stop(id="a-1"))
    assert list(stage.new_requests()) == [ask(), Stop(id="a-1")]
    desk.hand_over(End(reason="another run waits"))
    assert list(stage.new_requests()) == [End(reason="another run waits")]
    assert list(stage.new_requests()) == []


def test_a_half_written_request_waits_for_its_other_half(desk: Desk) -> None:
    stage = reader(desk)
    desk.hand_over(ask())
    whole = desk.requests_path.read_bytes()
    for num_bytes in range(len(whole)):
        desk.requests_path.write_bytes(whole[:num_bytes])
        assert list(stage.new_requests()) == []
    desk.requests_path.write_bytes(whole)
    assert list(stage.new_requests()) == [ask()]


@pytest.mark.parametrize(
    "line", ["[]", "{}", '{"kind": "sing"}', '{"kind": "stop"}', '{"kind": "ask", "id": "a"}', "nonsense", '"ask"']
)
def test_what_is_no_request_is_said(desk: Desk, line: str) -> None:
    desk.requests_path.write_text(line + "\n")
    with pytest.raises(RunDirError, match=r"requests\.jsonl"):
        list(desk.new_requests())


def test_a_reply_is_replaced_whole(desk: Desk) -> None:
    worker = reader(desk)
    assert worker.reply("a-1") is None
    desk.put("a-1", Reply(state="answering", text="Half \u2028", num_tokens=2))
    desk.put("a-1", Reply(state="done", text="Half of it", num_tokens=3, finish_reason="stop", reward=-1.5))
    assert worker.reply("a-1") == Reply(
        state="done", text="Half of it", num_tokens=3, finish_reason="stop", reward=-1.5
    )
    assert [path.name for path in desk.replies.iterdir()] == ["a-1.json"]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"state": "singing"}, "state"),
        ({"state": "failed"}, "error"),
        ({"state": "done", "finish_reason": "stop", "error": "no"}, "error"),
        ({"state": "done"}, "finish_reason"),
        ({"state": "answering", "finish_reason": "stop"}, "finish_reason"),
    ],
)
def test_a_reply_that_is_none_is_refused_by_both_sides(desk: Desk, values: dict[str, Any], field: str) -> None:
    with pytest.raises(RunDirError, match=f"^{field}"):
        Reply(**values)
    (desk.replies / "a-1.json").write_text(json.dumps(values))
    with pytest.raises(RunDirError, match=field):
        desk.reply("a-1")


@pytest.mark.parametrize("id", ["../a", "a/b", "", "A" * 65, "a\0"])
def test_an_id_never_leads_out_of_the_folder(desk: Desk, id: str) -> None:
    with pytest.raises(RunDirError, match="id"):
        desk.put(id, Reply(state="answering"))


def test_clearing_leaves_nothing_of_an_earlier_start(desk: Desk) -> None:
    desk.hand_over(ask())
    desk.put("a-1", Reply(state="answering"))
    list(desk.new_requests())
    desk.clear()
    assert list(desk.new_requests()) == []
    assert desk.reply("a-1") is None
    desk.hand_over(Stop(id="a-1"))
    assert list(desk.new_requests()) == [Stop(id="a-1")], "it reads from the beginning again"
