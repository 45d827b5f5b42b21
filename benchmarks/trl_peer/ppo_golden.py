"""One update of TRL's PPOTrainer on random models, written down number by number, and its functions on random input.

    .peers/trl-ppo/bin/python benchmarks/trl_peer/ppo_golden.py tests/training/trl_ppo_golden.json

tests/training/test_ppo_golden.py holds our formulas to these numbers. Runs in TRL's environment and imports nothing of
Podium's. TRL's functions are not changed: what goes in and what comes out is kept.
"""

import contextlib
import functools
import io
import json
import os
import re
import sys
import tempfile
from collections import defaultdict

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TOKENIZERS_PARALLELISM": "false"}

PAD, END, VOCABULARY = 0, 1, 40
NUM_EPISODES, NUM_MINIBATCHES, NUM_EPOCHS, RESPONSE_LENGTH = 16, 2, 2, 8
RULE = {
    "gamma": 0.99,
    "lam": 0.95,
    "kl_coef": 0.05,
    "missing_eos_penalty": 1.0,
    "cliprange": 0.2,
    "cliprange_value": 0.2,
    "vf_coef": 0.1,
}


def main(out: str) -> None:
    import torch
    from trl.experimental.ppo import ppo_trainer

    torch.manual_seed(0)
    values, mask = torch.randn(6, 9) * 2 + 1, torch.rand(6, 9) < 0.6
    functions = {
        "values": values,
        "mask": mask,
        "mean": ppo_trainer.masked_mean(values, mask),
        "whitened": ppo_trainer.masked_whiten(values, mask) * mask,
        "whitened_keeping_mean": ppo_trainer.masked_whiten(values, mask, shift_mean=False) * mask,
    }
    golden = {"trl": _version(), "rule": RULE, "functions": functions, "update": _update(ppo_trainer)}
    with open(out, "w", encoding="utf-8") as file:
        file.write(re.sub(r"\[[^\[\]{}]*\]", _on_one_line, json.dumps(_plain(golden), indent=1)) + "\n")


def _update(ppo_trainer) -> dict:
    """What one update computed, in the trainer's own order of rows."""
    import numpy as np
    import torch

    kept = defaultdict(list)
    for name in ("selective_log_softmax", "get_reward", "masked_whiten", "masked_mean", "truncate_response", "forward"):
        setattr(ppo_trainer, name, _kept(getattr(ppo_trainer, name), kept[name], torch))
    np.random.seed(0)
    losses = _train(ppo_trainer)
    np.random.seed(0)
    orders = [np.random.permutation(NUM_EPISODES) for _ in range(NUM_EPOCHS)]

    before = [call for call in kept["selective_log_softmax"] if not call["learns"]]
    after = [call for call in kept["selective_log_softmax"] if call["learns"]]
    value, reward = (call["out"] for call in kept["get_reward"])
    context = kept["get_reward"][0]["in"][3]
    rewards, advantages = kept["masked_whiten"][-2:]
    # Of the means, those that the losses took: value loss, its clip fraction, policy loss; and later its clip fraction.
    means = [call for call in kept["masked_mean"] if call["in"][0].shape[0] < NUM_EPISODES]
    forwards = [call["out"][1] for call in kept["forward"] if call["learns"]]
    steps = [
        {
            "rows": rows,
            "new_logprobs": after[number]["out"],
            "new_values": forwards[number][:, context - 1 : -1, 0],
            "value_loss": 0.5 * means[4 * number]["out"],
            "value_clip_fraction": means[4 * number + 1]["out"],
            "policy_loss": means[4 * number + 2]["out"],
            "policy_clip_fraction": means[4 * number + 3]["out"],
            "loss": losses[number],
        }
        for number, rows in enumerate(rows for order in orders for rows in np.split(order, NUM_MINIBATCHES))
    ]
    return {
        "responses": kept["truncate_response"][0]["out"],
        "logprobs": before[0]["out"],
        "ref_logprobs": before[1]["out"],
        "values": value[0][:, context - 1 : -1, 0],
        "scores": reward[1],
        "rewards": rewards["in"][0],
        "reward_mask": rewards["named"]["mask"],
        "whitened_rewards": rewards["out"] * rewards["named"]["mask"],
        "advantages": advantages["in"][0],
        "mask": advantages["in"][1],
        "whitened_advantages": advantages["out"] * advantages["in"][1],
        "steps": steps,
    }


def _kept(function, calls: list, torch):
    def copied(item):
        if isinstance(item, (tuple, list)):
            return [copied(part) for part in item]
        return item.detach().clone() if torch.is_tensor(item) else item

    @functools.wraps(function)
    def inner(*args, **named):
        found = {"in": copied(args), "named": {name: copied(item) for name, item in named.items()}}
        result = function(*args, **named)
        is_pair = isinstance(result, (tuple, list)) or torch.is_tensor(result)
        calls.append(found | {"out": copied(result) if is_pair else None, "learns": torch.is_grad_enabled()})
        return result

    return inner


def _train(ppo_trainer) -> list[float]:
    """The loss of every optimiser step."""
    import torch
    from datasets import Dataset
    from trl.experimental.ppo import PPOConfig, PPOTrainer

    policy, reference, reward, value = (_model(seed, is_policy=seed < 3) for seed in (1, 2, 3, 4))
    draw = torch.Generator().manual_seed(5)
    lengths = torch.randint(3, 7, (NUM_EPISODES,), generator=draw).tolist()
    prompts = [torch.randint(2, VOCABULARY, (length,), generator=draw).tolist() for length in lengths]
    losses = []
    with tempfile.TemporaryDirectory() as folder:
        config = PPOConfig(
            output_dir=folder,
            total_episodes=NUM_EPISODES,
            per_device_train_batch_size=NUM_EPISODES,
            num_mini_batches=NUM_MINIBATCHES,
            num_ppo_epochs=NUM_EPOCHS,
            local_rollout_forward_batch_size=NUM_EPISODES,
            response_length=RESPONSE_LENGTH,
            stop_token="eos",  # noqa: S106  # no secret
            temperature=1.0,
            kl_estimator="k1",
            whiten_rewards=True,
            learning_rate=1e-2,
            lr_scheduler_type="constant",
            bf16=False,
            gradient_checkpointing=False,
            num_sample_generations=0,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            seed=0,
            use_cpu=True,
            **RULE,
        )
        trainer = PPOTrainer(
            args=config,
            processing_class=_tokenizer(),
            model=policy,
            ref_model=reference,
            reward_model=reward,
            value_model=value,
            train_dataset=Dataset.from_dict({"input_ids": prompts}),
        )
        backward = trainer.accelerator.backward
        trainer.accelerator.backward = lambda loss, **named: (losses.append(float(loss.detach())), backward(loss))
        with contextlib.redirect_stdout(io.StringIO()):
            trainer.train()
    return losses


def _model(seed: int, *, is_policy: bool):
    """A tiny GPT-2 without dropout. Policies often end; heads of scores are wide, so that clipping happens."""
    import torch
    from transformers import GPT2Config, GPT2ForSequenceClassification, GPT2LMHeadModel

    torch.manual_seed(seed)
    kind = GPT2LMHeadModel if is_policy else GPT2ForSequenceClassification
    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=32,
        n_embd=16,
        n_layer=1,
        n_head=2,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        pad_token_id=PAD,
        bos_token_id=END,
        eos_token_id=END,
        num_labels=1,
    )
    model = kind(config)
    with torch.no_grad():
        if is_policy:
            ending = model.transformer.wte.weight[END]
            model.transformer.ln_f.bias += ending * (2.0 / ending.square().sum())
        else:
            model.score.weight.mul_(20.0)
    return model


def _tokenizer():
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = {f"<{number}>": number for number in range(VOCABULARY)}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="<2>")),  # noqa: S106  # no secret
        pad_token="<0>",  # noqa: S106
        eos_token="<1>",  # noqa: S106
        padding_side="left",
    )


def _version() -> str:
    from importlib.metadata import version

    return version("trl")


def _on_one_line(found: re.Match) -> str:
    return " ".join(found.group().split())


def _plain(item):
    if isinstance(item, dict):
        return {name: _plain(part) for name, part in item.items()}
    if isinstance(item, list):
        return [_plain(part) for part in item]
    return item.tolist() if hasattr(item, "tolist") else item


if __name__ == "__main__":
    main(sys.argv[1])
