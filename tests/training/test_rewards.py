"""The rows layout: padding and neighbours change no score, and scores come back in their order."""

import torch

from training.engine.batches import Element, Ranking
from training.engine.device import Compute
from training.engine.rewards import flat_rankings, rows_scores, score_all, token_rows
from training.engine.text import byte_text

TEXT = byte_text()
CPU = Compute(torch.device("cpu"), torch.float32)


def reward_model() -> torch.nn.Module:
    from transformers import GPT2Config, GPT2ForSequenceClassification

    config = GPT2Config(
        vocab_size=262, n_positions=64, n_embd=32, n_layer=2, n_head=2, num_labels=1, pad_token_id=TEXT.pad_id
    )
    torch.manual_seed(0)
    return GPT2ForSequenceClassification(config).eval().double()  # type: ignore[no-untyped-call,no-any-return]


def element(prompt: str, *responses: str, rankings: tuple[Ranking, ...] = ()) -> Element:
    return Element(
        prompt_id=prompt,
        split="train",
        category="",
        prompt=TEXT.content_ids(prompt),
        responses=tuple(TEXT.response_ids(response) for response in responses),
        rankings=rankings,
    )


ELEMENTS = [element("why", "so", "a much longer one"), element("a longer prompt", "x"), element("p", "yes", "no", "ok")]


def test_a_score_does_not_depend_on_padding_or_neighbours() -> None:
    model = reward_model()
    together = rows_scores(model, ELEMENTS, pad_id=TEXT.pad_id)
    alone = [
        model(input_ids=torch.tensor([[*item.prompt, *response]])).logits[0, 0]
        for item in ELEMENTS
        for response in item.responses
    ]
    torch.testing.assert_close(together, torch.stack(alone))
    assert together.std().item() > 1e-3  # the scores differ, so that an exchange would be seen


def test_scores_come_back_by_element_whatever_the_micro_batch() -> None:
    model = reward_model()
    found = [
        score_all(model, ELEMENTS, layout="rows", max_elements=size, max_tokens=4096, compute=CPU, pad_id=TEXT.pad_id)
        for size in (1, 2, 3)
    ]
    assert [len(scores) for scores in found[0]] == [2, 1, 3]
    for other in found[1:]:
        for ours, theirs in zip(found[0], other, strict=True):
            torch.testing.assert_close(torch.tensor(ours), torch.tensor(theirs))


def test_rankings_point_into_the_flat_scores() -> None:
    first = Ranking(positions=(1, 0), ranks=(1, 2), weight=0.5, labeler="a", held_out=False)
    second = Ranking(positions=(0, 2), ranks=(2, 1), weight=1.0, labeler="a", held_out=False)
    elements = [element("a", "x", "y", rankings=(first,)), element("b", "x", "y", "z", rankings=(second,))]
    assert flat_rankings(elements) == [([1, 0], [1, 2], 0.5), ([2, 4], [2, 1], 1.0)]


def test_the_kept_rows_are_prompt_and_response() -> None:
    rows = token_rows(ELEMENTS, pad_id=TEXT.pad_id)["input_ids"]
    assert rows.shape[0] == 6
    assert TEXT.decode(rows[0].tolist()) == "whyso"
