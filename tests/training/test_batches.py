"""Batches are a function of seed and step; rankings of one prompt become one element."""

from collections import Counter

import pytest

from training.contract.records import DemonstrationRow, Message, RewardRow
from training.engine import batches
from training.engine.batches import Cuts
from training.engine.text import byte_text

TEXT = byte_text()


def ranking(labeler: str, responses: list[str], ranks: list[int], prompt_id: str = "p", **changes: object) -> RewardRow:
    values = {"weight": 0.5, "split": "train", "held_out": False} | changes
    return RewardRow(
        prompt_id=prompt_id,
        prompt=[Message("user", "why")],
        responses=responses,
        ranks=ranks,
        labeler=labeler,
        **values,  # type: ignore[arg-type]
    )


def elements(*rows: RewardRow, limit: int = 100) -> tuple[list[batches.Element], Cuts]:
    cuts = Cuts()
    return batches.elements(rows, TEXT, max_prompt_tokens=limit, max_response_tokens=limit, cuts=cuts), cuts


@pytest.mark.parametrize(("num_items", "batch_size"), [(10, 3), (9, 3), (2, 5), (1, 1)])
def test_each_epoch_takes_every_item_once(num_items: int, batch_size: int) -> None:
    per_epoch = batches.num_batches(num_items, batch_size)
    epochs = []
    for epoch in range(3):
        steps = range(epoch * per_epoch, (epoch + 1) * per_epoch)
        taken = [batches.batch_indices(num_items, batch_size=batch_size, step=step, seed=7) for step in steps]
        epochs.append([index for batch in taken for index in batch])
        assert Counter(epochs[-1]) == Counter(range(num_items))
    assert num_items < 5 or epochs[0] != epochs[1]


def test_a_batch_depends_on_seed_and_step_alone() -> None:
    def order(seed: int) -> list[int]:
        return batches.batch_indices(50, batch_size=50, step=0, seed=seed)

    def later(seed: int) -> list[int]:
        return batches.batch_indices(50, batch_size=50, step=1, seed=seed)

    assert order(1) == order(1)
    assert order(0) != order(1)
    assert later(0) != order(1)  # seed 0's second epoch is not seed 1's first


def test_text_pieces_come_from_the_stream_and_differ_by_step() -> None:
    stream = list(range(1000))
    first = batches.text_batch(stream, num_pieces=3, length=10, step=0, seed=0)
    for piece in first:
        ids = piece.prompt + piece.response
        assert ids == list(range(ids[0], ids[0] + 10))
    assert batches.text_batch(stream, num_pieces=3, length=10, step=0, seed=0) == first
    assert batches.text_batch(stream, num_pieces=3, length=10, step=1, seed=0) != first


def test_two_labelers_of_one_prompt_share_its_responses() -> None:
    found, _ = elements(ranking("a", ["x", "y", "z"], [1, 2, 3]), ranking("b", ["z", "x", "new"], [1, 2, 2]))
    assert len(found) == 1
    assert [TEXT.decode(ids) for ids in found[0].responses] == ["x", "y", "z", "new"]
    assert [item.positions for item in found[0].rankings] == [(0, 1, 2), (2, 0, 3)]
    assert [item.ranks for item in found[0].rankings] == [(1, 2, 3), (1, 2, 2)]


def test_prompts_stay_apart_in_the_order_of_the_file() -> None:
    rows = [ranking("a", ["x", "y"], [1, 2], prompt_id=name) for name in ("q", "p", "q")]
    found, _ = elements(*rows)
    assert [(item.prompt_id, len(item.rankings)) for item in found] == [("q", 2), ("p", 1)]


def test_a_cut_response_still_ends_with_the_end_token_and_is_counted() -> None:
    found, cuts = elements(ranking("a", ["short", "a much longer response"], [1, 2]), limit=10)
    assert [ids[-1] for ids in found[0].responses] == [TEXT.end_id] * 2
    assert [len(ids) for ids in found[0].responses] == [6, 10]
    assert (cuts.responses, cuts.total_responses, cuts.prompts) == (1, 2, 0)
    assert "1 of 2 responses" in str(cuts)


def test_a_cut_demonstration_has_no_end_token_to_learn_from() -> None:
    row = DemonstrationRow(prompt_id="p", prompt=[Message("user", "why")], response="0123456789", split="train")
    (example,) = batches.demonstrations([row], TEXT, max_prompt_tokens=100, max_response_tokens=4, cuts=Cuts())
    assert TEXT.decode(example.response) == "0123"
    assert TEXT.end_id not in example.response
