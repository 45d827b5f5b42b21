"""The three layouts of the reward model give one score and one gradient; each trap of packing a tree is a test."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from training.contract.configs import RewardConfig
from training.engine import tree, tree_shared
from training.engine.attention import FAMILIES, why_not
from training.engine.batches import Element, Ranking
from training.engine.reward_learner import weighted_loss
from training.engine.rewards import LAYOUTS, choose_layout, laid_out, num_tokens, packs, rows_scores, tree_scores
from training.engine.text import byte_text

TEXT = byte_text()
PAD = TEXT.pad_id
LLAMA_LIKE: dict[str, Any] = {
    "vocab_size": 262,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "bos_token_id": TEXT.tokenizer.bos_token_id,
    "eos_token_id": TEXT.end_id,
    "num_labels": 1,
    "pad_token_id": PAD,
}
WINDOW = {"sliding_window": 8, "head_dim": 8}
CONFIGS: dict[str, Callable[[], Any]] = {
    "gpt2": lambda: transformers.GPT2Config(
        vocab_size=262,
        n_positions=128,
        n_embd=32,
        n_layer=2,
        n_head=4,
        num_labels=1,
        bos_token_id=TEXT.tokenizer.bos_token_id,
        eos_token_id=TEXT.end_id,
        pad_token_id=PAD,
    ),
    "llama": lambda: transformers.LlamaConfig(**LLAMA_LIKE),
    "mistral": lambda: transformers.MistralConfig(**LLAMA_LIKE, sliding_window=8),
    "qwen2": lambda: transformers.Qwen2Config(**LLAMA_LIKE),
    "qwen3": lambda: transformers.Qwen3Config(**LLAMA_LIKE, head_dim=8),
    "gemma": lambda: transformers.GemmaConfig(**LLAMA_LIKE, head_dim=8),
    "gemma2": lambda: transformers.Gemma2Config(**LLAMA_LIKE, **WINDOW),
    "gemma3_text": lambda: transformers.Gemma3TextConfig(**LLAMA_LIKE, **WINDOW),
}


def reward_model(family: str) -> Any:
    """A small model in fp64 with larger weights than usual, so that a wrong mask would show."""
    torch.manual_seed(0)
    model = transformers.AutoModelForSequenceClassification.from_config(CONFIGS[family]()).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(3)
    return model


def an_element(
    draw: random.Random, *, k: int, prompt: int, longest: int = 9, ranks: tuple[int, ...] | None = None
) -> Element:
    responses = tuple([*(draw.randrange(256) for _ in range(draw.randrange(longest))), TEXT.end_id] for _ in range(k))
    first = Ranking(
        positions=tuple(range(k)),
        ranks=ranks or tuple(draw.randint(1, 3) for _ in range(k)),
        weight=1.0,
        labeler="a",
        held_out=False,
    )
    second = Ranking(positions=(k - 1, 0), ranks=(1, 2), weight=0.5, labeler="b", held_out=False)
    ids = [draw.randrange(256) for _ in range(prompt)]
    return Element(prompt_id="p", split="train", category="", prompt=ids, responses=responses, rankings=(first, second))


def some_elements(seed: int = 0, num: int = 3) -> list[Element]:
    draw = random.Random(seed)
    return [an_element(draw, k=draw.randint(2, 9), prompt=draw.randint(1, 20)) for _ in range(num)]


def config(**options: Any) -> RewardConfig:
    return RewardConfig(init_model="m", dataset="d", **options)


def loss_and_gradients(
    model: Any, elements: list[Element], layout: str, divisor: str
) -> tuple[float, dict[str, Tensor]]:
    model.zero_grad(set_to_none=True)
    chosen, why = choose_layout(model, layout)
    assert (chosen, why) == (layout, "")
    placed = [laid_out(element, layout=layout, divisor=divisor) for element in elements]
    loss, _ = weighted_loss(LAYOUTS[layout](model, placed, pad_id=PAD), placed, config(divisor=divisor))
    loss.backward()  # type: ignore[no-untyped-call]
    found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return loss.item(), found


def largest_difference(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> float:
    """Over all parameters, the norm of the difference relative to the norm.

    A bias before the head has no gradient at all (it shifts all scores alike): what rounding leaves there is measured
    by the largest gradient.
    """
    assert ours.keys() == theirs.keys()
    scale = max(float(grad.norm()) for grad in theirs.values())
    return max(
        float((ours[name] - theirs[name]).norm()) / max(float(theirs[name].norm()), 1e-6 * scale) for name in ours
    )


@pytest.fixture
def all_in_fp64(monkeypatch: pytest.MonkeyPatch) -> None:
    """Norms, rotary angles and Gemma 2's softmax compute in fp32 whatever comes in, which stops the comparison near
    3e-7; here they do not."""
    original: Any = Tensor.to
    softmax = torch.nn.functional.softmax

    def to(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        is_down = self.dtype == torch.float64 and torch.float32 in (*args, *kwargs.values())
        result: Tensor = self if is_down else original(self, *args, **kwargs)
        return result

    monkeypatch.setattr(Tensor, "to", to)
    monkeypatch.setattr(Tensor, "float", lambda self: original(self, torch.float64))
    monkeypatch.setattr(torch.nn.functional, "softmax", lambda scores, dim, dtype=None: softmax(scores, dim))


# 1. One loss, one gradient


@pytest.mark.parametrize("divisor", ["remaining_pairs", "all_pairs"])
@pytest.mark.parametrize("family", ["gpt2", "llama", "qwen3"])
@pytest.mark.usefixtures("all_in_fp64")
def test_pairs_rows_and_tree_have_the_same_loss_and_the_same_gradient_of_every_parameter(
    family: str, divisor: str
) -> None:
    model = reward_model(family)
    for seed in range(3):
        elements = some_elements(seed)
        rows_loss, rows_gradients = loss_and_gradients(model, elements, "rows", divisor)
        assert rows_loss > 0
        for layout in ("pairs", "tree"):
            loss, gradients = loss_and_gradients(model, elements, layout, divisor)
            assert loss == pytest.approx(rows_loss, rel=1e-12)
            assert largest_difference(gradients, rows_gradients) <= 1e-9


@pytest.mark.parametrize("family", sorted(FAMILIES))
@pytest.mark.usefixtures("all_in_fp64")
def test_no_family_and_no_way_of_attention_changes_a_gradient(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sliding windows and capped scores too (the prompts are longer than the windows); and with the way that they take
    forced on all families."""
    model, elements = reward_model(family), some_elements(1)
    rows_loss, rows_gradients = loss_and_gradients(model, elements, "rows", "remaining_pairs")
    found = [loss_and_gradients(model, elements, "pairs", "remaining_pairs")]
    found.append(loss_and_gradients(model, elements, "tree", "remaining_pairs"))
    monkeypatch.setattr(tree_shared, "knows", lambda *_args, **_named: False)
    found.append(loss_and_gradients(model, elements, "tree", "remaining_pairs"))
    for loss, gradients in found:
        assert loss == pytest.approx(rows_loss, rel=1e-12)
        assert largest_difference(gradients, rows_gradients) <= 1e-9


@given(st.integers(2, 9), st.integers(1, 24), st.integers(0, 2**16))
@settings(max_examples=25, deadline=None)
def test_any_k_any_lengths_any_ties(k: int, prompt: int, seed: int) -> None:
    model = reward_model("gpt2")
    draw = random.Random(seed)
    elements = [an_element(draw, k=k, prompt=prompt), an_element(draw, k=2, prompt=1)]
    _, rows_gradients = loss_and_gradients(model, elements, "rows", "remaining_pairs")
    for layout in ("pairs", "tree"):
        _, gradients = loss_and_gradients(model, elements, layout, "remaining_pairs")
        assert largest_difference(gradients, rows_gradients) <= 1e-9


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_family_on_the_list_scores_a_tree_like_lone_rows(family: str) -> None:
    """As they are, with fp32 inside their norms. Lone rows need no padding, and a sliding window cuts them alike."""
    model = reward_model(family)
    assert family in CONFIGS
    elements = some_elements(5)
    lone = torch.cat([_lone(model, [*item.prompt, *ids]) for item in elements for ids in item.responses])
    tree.enable(model)
    found = tree_scores(model, elements, pad_id=PAD)
    assert lone.std() > 1e-2
    torch.testing.assert_close(found, lone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_all_elements_at_once_score_like_one_by_one(family: str) -> None:
    """As on a GPU: padded batches instead of small products, and the gradients too."""
    model, elements = reward_model(family), some_elements(6, num=4)
    tree.enable(model)
    found = []
    for at_once in (False, True):
        model.zero_grad(set_to_none=True)
        planted = tree.plant(elements, at_once=at_once)
        assert (planted.together is not None) == at_once
        scores = model.score(tree.hidden_at_ends(model, planted))[:, 0]
        (scores * torch.arange(len(scores))).sum().backward()
        gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        found.append((scores.detach(), gradients))
    torch.testing.assert_close(found[1][0], found[0][0], rtol=1e-6, atol=1e-7)
    assert largest_difference(found[1][1], found[0][1]) <= 2e-6


def _lone(model: Any, ids: list[int]) -> Tensor:
    hidden = model.base_model(input_ids=torch.tensor([ids]), use_cache=False).last_hidden_state[:, -1]
    scores: Tensor = model.score(hidden)[:, 0]
    return scores.detach()


def test_the_bias_of_the_published_model_is_in_every_score_of_every_layout() -> None:
    from training.engine.models import set_reward_bias

    model, elements = reward_model("gpt2"), some_elements()
    before = rows_scores(model, elements, pad_id=PAD)
    set_reward_bias(model.float(), 2.5)
    model.double()
    tree.enable(model)
    torch.testing.assert_close(tree_scores(model, elements, pad_id=PAD), before + 2.5)


# 2. A planted fault is seen


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check at first use would see the fault, too, and take the other way."""
    monkeypatch.setattr(tree_shared, "fault", lambda dtype: "")


def test_a_branch_that_sees_its_neighbour_is_seen() -> None:
    """The same row under one causal mask: responses 2 to K see those before them."""
    model, elements = reward_model("gpt2"), some_elements()
    expected = rows_scores(model, elements, pad_id=PAD)
    planted = tree.plant(elements)
    causal = torch.ones(planted.input_ids_1T.shape[1], planted.input_ids_1T.shape[1], dtype=torch.bool).tril()
    output = model.base_model(
        input_ids=planted.input_ids_1T,
        position_ids=planted.position_ids_1T,
        attention_mask=causal[None, None],
        use_cache=False,
    )
    wrong = model.score(output.last_hidden_state[0, planted.ends_N])[:, 0]
    assert (wrong - expected).abs().max() > 1e-2


def test_a_wrong_mask_fails_the_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    def blind(self: tree.Branching, window: int | None) -> tuple[None, Tensor]:
        width = max(self.lengths)
        own = torch.ones(width, width, dtype=torch.bool).tril()
        return None, torch.cat((torch.zeros(width, self.num_prompt, dtype=torch.bool), own), dim=1)

    monkeypatch.setattr(tree_shared, "knows", lambda *_args, **_named: False)
    monkeypatch.setattr(tree.Branching, "mask", blind)
    assert _difference_to_rows() > 1e-3


@pytest.mark.usefixtures("unchecked")
def test_branches_that_miss_a_prompt_token_fail_the_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    right = tree_shared._shared_piece

    def short(start: int, num_prompt: int, lengths: Any) -> tree_shared.Piece:
        looks, at, causal = right(start, num_prompt, lengths)
        return looks, slice(at.start, max(at.start + 1, at.stop - 1)), causal

    monkeypatch.setattr(tree_shared, "_shared_piece", short)
    assert _difference_to_rows() > 1e-3


@pytest.mark.usefixtures("unchecked")
def test_branches_that_run_into_each_other_fail_the_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    right = tree_shared._own_pieces
    monkeypatch.setattr(tree_shared, "_own_pieces", lambda start, num, lengths: right(start, num, (sum(lengths),)))
    assert _difference_to_rows() > 1e-3


def test_positions_that_run_through_the_row_fail_the_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    right = tree.plant

    def numbered(elements: Any, *, device: Any = "cpu") -> tree.Tree:
        made = right(elements, device=device)
        return replace(made, position_ids_1T=torch.arange(made.input_ids_1T.shape[1])[None])

    monkeypatch.setattr(tree, "plant", numbered)
    assert _difference_to_rows(some_elements(num=1)) > 1e-3


def _difference_to_rows(elements: list[Element] | None = None) -> float:
    model, elements = reward_model("gpt2"), elements or some_elements()
    _, rows_gradients = loss_and_gradients(model, elements, "rows", "remaining_pairs")
    _, gradients = loss_and_gradients(model, elements, "tree", "remaining_pairs")
    return largest_difference(gradients, rows_gradients)


# 3. The traps


def test_position_ids_without_a_mask_would_lose_the_prompt_so_a_mask_is_always_given() -> None:
    """transformers takes a jump in position ids for a new packed sequence when no mask comes with them."""
    model, elements = reward_model("llama"), some_elements(num=1)
    expected = rows_scores(model, elements, pad_id=PAD)
    planted = tree.plant(elements)
    output = model.base_model(
        input_ids=planted.input_ids_1T, position_ids=planted.position_ids_1T, attention_mask=None, use_cache=False
    )
    misread = model.score(output.last_hidden_state[0, planted.ends_N])[:, 0]
    assert (misread - expected)[0].abs() < 1e-6  # the first branch continues its prompt
    assert (misread - expected)[1:].abs().min() > 1e-3  # the others lose it
    tree.enable(model)
    torch.testing.assert_close(tree_scores(model, elements, pad_id=PAD), expected)


def test_the_prompts_ids_are_a_prefix_of_every_branch_even_where_a_tokenizer_would_merge_across() -> None:
    from tokenizers import Tokenizer, pre_tokenizers
    from tokenizers.models import BPE
    from transformers import PreTrainedTokenizerFast

    from training.contract.records import Message
    from training.engine.text import Text

    words = {character: index for index, character in enumerate("ab:UserAitn \n")}
    vocabulary = {**words, "<end>": len(words), "<pad>": len(words) + 1, "ab": len(words) + 2}
    tokenizer = Tokenizer(BPE(vocab=vocabulary, merges=[("a", "b")]))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([])
    fast: Any = PreTrainedTokenizerFast
    template = "{{ messages[0]['content'] }}"
    text = Text(fast(tokenizer_object=tokenizer, eos_token="<end>", pad_token="<pad>", chat_template=template))
    assert text.content_ids("ab") == [vocabulary["ab"]]  # one token when written together
    prompt, response = text.prompt_ids([Message("user", "a")]), text.response_ids("b")
    assert [*prompt, *response] == [vocabulary["a"], vocabulary["b"], vocabulary["<end>"]]
    element = Element(prompt_id="", split="", category="", prompt=prompt, responses=(response, response), rankings=())
    planted = tree.plant([element])
    assert planted.input_ids_1T.tolist() == [[*prompt, *response, *response]]
    assert planted.position_ids_1T.tolist() == [[0, 1, 2, 1, 2]]


def test_layers_that_leak_between_branches_are_refused_by_name() -> None:
    mamba = transformers.MambaConfig(vocab_size=262, hidden_size=16, num_hidden_layers=1)
    model = transformers.MambaForCausalLM(mamba)
    with pytest.raises(tree.TreeError, match="mamba"):
        tree.enable(model)
    assert choose_layout(model, "tree")[0] == "rows"
    assert "mamba" in choose_layout(model, "tree")[1]
    hybrid = reward_model("qwen3")
    hybrid.config.layer_types = ["full_attention", "linear_attention"]
    assert "linear_attention" in why_not(hybrid)


def test_a_sliding_window_counts_positions_and_not_places_in_the_row() -> None:
    model, elements = reward_model("mistral"), [an_element(random.Random(1), k=6, prompt=12)]
    lone = torch.cat([_lone(model, [*elements[0].prompt, *ids]) for ids in elements[0].responses])
    wide = reward_model("mistral")
    for layer in wide.base_model.layers:
        layer.self_attn.sliding_window = None
    wide.config.sliding_window = None
    tree.enable(model)
    tree.enable(wide)
    found = tree_scores(model, elements, pad_id=PAD)
    torch.testing.assert_close(found, lone, rtol=1e-5, atol=1e-6)
    assert (tree_scores(wide, elements, pad_id=PAD) - lone).abs().max() > 1e-3  # the window matters here


def test_scores_are_read_at_each_branchs_own_end_token() -> None:
    planted = tree.plant(some_elements())
    assert (planted.input_ids_1T[0, planted.ends_N] == TEXT.end_id).all()
    assert not (planted.input_ids_1T == PAD).any()  # a packed row has no padding at all
    assert TEXT.end_id != PAD


def test_packing_changes_no_weight() -> None:
    model, elements = reward_model("gpt2"), some_elements(num=4)
    _, together = loss_and_gradients(model, elements, "tree", "remaining_pairs")
    summed: dict[str, Tensor] = {}
    for element in elements:
        _, alone = loss_and_gradients(model, [element], "tree", "remaining_pairs")
        for name, gradient in alone.items():
            summed[name] = summed.get(name, torch.zeros(())) + gradient
    assert largest_difference(together, summed) <= 1e-9


def test_attention_dropout_is_refused_and_not_ignored() -> None:
    model, elements = reward_model("gpt2"), some_elements()
    tree.enable(model)
    model.train()
    with pytest.raises(tree.TreeError, match="dropout"):
        tree_scores(model, elements, pad_id=PAD)


def test_a_model_set_up_for_trees_still_reads_plain_rows() -> None:
    for family in ("gpt2", "gemma3_text"):
        model, elements = reward_model(family), some_elements()
        before = rows_scores(model, elements, pad_id=PAD)
        tree.enable(model)
        torch.testing.assert_close(rows_scores(model, elements, pad_id=PAD), before)


def test_recomputed_layers_see_the_tree_too() -> None:
    model, elements = reward_model("gpt2"), some_elements()
    _, plain = loss_and_gradients(model, elements, "tree", "remaining_pairs")
    model.gradient_checkpointing_enable({"use_reentrant": False})
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    model.train()
    _, recomputed = loss_and_gradients(model, elements, "tree", "remaining_pairs")
    assert largest_difference(recomputed, plain) <= 1e-9


def test_an_element_without_a_response_is_an_error() -> None:
    with pytest.raises(ValueError, match="no response"):
        tree.plant([Element(prompt_id="x", split="", category="", prompt=[1], responses=(), rankings=())])


def test_a_prompt_without_tokens_is_a_row_of_its_responses_alone() -> None:
    model, elements = reward_model("gpt2"), [an_element(random.Random(0), k=3, prompt=0)]
    lone = torch.cat([_lone(model, ids) for ids in elements[0].responses])
    tree.enable(model)
    torch.testing.assert_close(tree_scores(model, elements, pad_id=PAD), lone)


# 4. Packs


def test_packs_hold_every_element_once_and_keep_to_both_limits() -> None:
    elements = some_elements(num=12)
    for layout in ("tree", "rows"):
        found = list(packs(elements, layout=layout, max_elements=3, max_tokens=150))
        assert sorted(index for pack in found for index in pack) == list(range(12))
        for pack in found:
            tokens = num_tokens([elements[index] for index in pack], layout=layout)
            assert len(pack) <= 3
            assert tokens <= 150 or len(pack) == 1


def test_a_tree_computes_each_token_once() -> None:
    prompt, responses = [1] * 199, tuple([2] * 99 + [TEXT.end_id] for _ in range(9))
    element = Element(prompt_id="", split="", category="", prompt=prompt, responses=responses, rankings=())
    ranking = Ranking(positions=tuple(range(9)), ranks=tuple(range(1, 10)), weight=1.0, labeler="", held_out=False)
    ranked = laid_out(replace(element, rankings=(ranking,)), layout="pairs", divisor="remaining_pairs")
    assert num_tokens([element], layout="tree") == 1_099
    assert num_tokens([element], layout="rows") == 2_691
    assert num_tokens([ranked], layout="pairs") == 21_528


# 5. The last layer


def test_the_last_layer_computes_its_feed_forward_part_for_end_tokens_alone() -> None:
    model, elements = reward_model("gpt2"), some_elements()
    seen: list[int] = []
    tree.enable(model)
    for layer in model.base_model.h:
        layer.mlp.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0].shape[1]))
    tree_scores(model, elements, pad_id=PAD)
    num_responses = sum(len(element.responses) for element in elements)
    assert seen == [num_tokens(elements, layout="tree"), num_responses]


def test_one_kernel_of_gelu_is_the_function_of_gpt_2() -> None:
    from transformers.activations import NewGELUActivation

    inputs = torch.linspace(-12, 12, 4001, dtype=torch.float64)
    torch.testing.assert_close(
        torch.nn.GELU(approximate="tanh")(inputs), NewGELUActivation()(inputs), rtol=0, atol=1e-14
    )
