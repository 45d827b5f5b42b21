"""Models: safetensors alone, no code from files, one scalar head with the paper's first weights."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from tests.training.test_tree import CONFIGS
from training.contract.configs import ConfigError
from training.engine import memory, models
from training.engine.attention import FAMILIES
from training.engine.device import Compute
from training.engine.scoring import end_rewards, episodes, response_logprobs
from training.engine.text import byte_text, load_text

TEXT = byte_text()


def tiny(seed: int = 0) -> Any:
    return models.build_tiny(TEXT, num_layers=2, width=32, num_heads=2, context=64, seed=seed)


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    folder = tmp_path / "policy"
    models.save_model(tiny(), TEXT, folder)
    return folder


def test_the_same_seed_gives_the_same_weights_and_leaves_chance_alone() -> None:
    before = torch.get_rng_state()
    first, second, other = tiny(), tiny(), tiny(1)
    assert torch.equal(first.transformer.wte.weight, second.transformer.wte.weight)
    assert not torch.equal(first.transformer.wte.weight, other.transformer.wte.weight)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_saved_policy_says_the_same_and_holds_no_pickle(policy: Path) -> None:
    ids = torch.tensor([TEXT.content_ids("hello")])
    found, expected = models.load_policy(str(policy), TEXT), tiny()
    assert found.state_dict().keys() == expected.state_dict().keys()
    assert all(torch.equal(value, expected.state_dict()[name]) for name, value in found.state_dict().items())
    torch.testing.assert_close(found(ids).logits, expected(ids).logits, rtol=1e-5, atol=1e-6)  # GELU is our own
    assert not list(policy.glob("*.bin"))
    assert (policy / "model.safetensors").is_file()


def test_others_who_load_a_published_policy_sample_from_it_as_it_is(policy: Path) -> None:
    """Not the likeliest token, and not one of the likeliest 50: a fresh model says all of its 262 tokens."""
    model = AutoModelForCausalLM.from_pretrained(policy)
    ids = torch.tensor([TEXT.content_ids("hello")]).expand(400, -1)
    torch.manual_seed(0)
    said = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=1)[:, -1]
    assert len(set(said.tolist())) > 150
    assert (model.generation_config.eos_token_id, model.generation_config.pad_token_id) == (TEXT.end_id, TEXT.pad_id)


def test_the_reward_head_has_no_bias_and_the_papers_spread() -> None:
    torch.manual_seed(0)
    width = 1024
    head = torch.nn.Linear(width, 1, bias=False)
    model = torch.nn.Module()
    model.score = head
    models.draw_head(model, seed=3)
    assert head.weight.std().item() == pytest.approx(1 / math.sqrt(width + 1), rel=0.1)
    first = head.weight.clone()
    models.draw_head(model, seed=4)
    assert not torch.equal(first, head.weight)


def test_a_reward_model_keeps_the_body_of_the_policy(policy: Path) -> None:
    reward = models.reward_from_policy(str(policy), TEXT, seed=0)
    assert torch.equal(reward.transformer.wte.weight, tiny().transformer.wte.weight)
    assert not hasattr(reward, "lm_head")
    assert reward.score.bias is None


def test_a_reward_model_reads_back_with_its_bias_and_others_read_it_too(policy: Path, tmp_path: Path) -> None:
    reward = models.reward_from_policy(str(policy), TEXT, seed=0)
    batch = episodes([[1, 2, 3], [1, 2]], [[4, TEXT.end_id], [5, 6, TEXT.end_id]], pad_token_id=TEXT.pad_id)
    bare = end_rewards(reward, batch)
    models.set_reward_bias(reward, -2.5)
    models.save_model(reward, TEXT, tmp_path / "reward")
    assert "score.bias" not in load_file(tmp_path / "reward" / "model.safetensors")
    again = models.load_reward(str(tmp_path / "reward"), load_text(str(tmp_path / "reward")))
    torch.testing.assert_close(end_rewards(again, batch), bare - 2.5)
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "reward")
    logits = plain(input_ids=batch.input_ids_BT, attention_mask=batch.attention_mask_BT.long()).logits.squeeze(-1)
    torch.testing.assert_close(logits, bare)


def test_a_model_with_more_labels_is_no_reward_model(policy: Path, tmp_path: Path) -> None:
    classifier = AutoModelForSequenceClassification.from_pretrained(policy, num_labels=2)
    models.save_model(classifier, TEXT, tmp_path / "classifier")
    with pytest.raises(models.ModelError, match="2 labels"):
        models.load_reward(str(tmp_path / "classifier"), TEXT)


def test_a_pickle_is_refused(policy: Path) -> None:
    (policy / "model.safetensors").unlink()
    torch.save(tiny().state_dict(), policy / "pytorch_model.bin")
    with pytest.raises(models.ModelError, match="safetensors"):
        models.load_policy(str(policy), TEXT)


def test_code_beside_a_model_is_not_run(policy: Path, tmp_path: Path) -> None:
    (policy / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Evil: pass\nclass EvilConfig: pass\n")
    values = json.loads((policy / "config.json").read_text())
    values["auto_map"] = {"AutoConfig": "evil.EvilConfig", "AutoModelForCausalLM": "evil.Evil"}
    (policy / "config.json").write_text(json.dumps(values | {"model_type": "evil"}))
    with pytest.raises(models.ModelError):
        models.load_policy(str(policy), TEXT)
    (policy / "config.json").write_text(json.dumps(values))
    models.load_policy(str(policy), TEXT)
    assert not (tmp_path / "ran").exists()


def test_residual_dropout_is_set_alone_and_refused_where_there_is_none() -> None:
    model = tiny()
    models.set_residual_dropout(model, 0.2)
    found = {name: module.p for name, module in model.named_modules() if isinstance(module, torch.nn.Dropout)}
    assert {p for name, p in found.items() if "resid" in name or "mlp" in name} == {0.2}
    assert {p for name, p in found.items() if "attn_dropout" in name or name.endswith("drop")} == {0.0}
    plain: Any = torch.nn.Linear(2, 2)
    plain.config = type("Config", (), {"model_type": "plain"})
    with pytest.raises(ConfigError, match="dropout"):
        models.set_residual_dropout(plain, 0.2)


def test_rows_longer_than_the_model_are_a_config_error() -> None:
    models.check_lengths(tiny(), max_prompt_tokens=32, max_response_tokens=32)
    with pytest.raises(ConfigError) as caught:
        models.check_lengths(tiny(), max_prompt_tokens=33, max_response_tokens=32)
    assert caught.value.field == "max_prompt_tokens"


def test_a_missing_folder_is_an_error_without_the_network(tmp_path: Path) -> None:
    with pytest.raises(models.ModelError):
        models.load_policy(str(tmp_path), TEXT)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_frozen_model_stored_as_it_is_computed_says_the_same_to_the_last_bit(family: str) -> None:
    batch = episodes([[5, 6], [7]], [[8, 9, 10], [11]], pad_token_id=TEXT.pad_id)
    compute = Compute(torch.device("cpu"), torch.bfloat16)
    for kind, ask in ((AutoModelForCausalLM, _logprobs), (AutoModelForSequenceClassification, end_rewards)):
        torch.manual_seed(0)
        model = kind.from_config(CONFIGS[family]())
        model.config.pad_token_id = TEXT.pad_id
        model.eval().requires_grad_(False)
        before = sum(parameter.nbytes for parameter in model.parameters())
        with compute.autocast():
            expected = ask(model, batch)
            models.store_as_computed(model, compute)
            found = ask(model, batch)
        assert torch.equal(found, expected)
        in_matrices = memory.shape_of(model).in_matrices
        assert before - sum(parameter.nbytes for parameter in model.parameters()) == 2 * in_matrices > 0


def test_under_fp32_a_frozen_model_is_stored_as_it_was() -> None:
    model = tiny()
    models.store_as_computed(model, Compute(torch.device("cpu"), torch.float32))
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def _logprobs(model: Any, batch: Any) -> torch.Tensor:
    return response_logprobs(model, batch, temperature=1.0)
