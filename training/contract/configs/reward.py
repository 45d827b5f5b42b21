"""Config of the reward-model stage, and how a reward model learns, which the stage of curves shares."""

from dataclasses import dataclass

from training.contract.configs.fields import option, path
from training.contract.configs.stage import OptimiserConfig, TrainingConfig


@dataclass(frozen=True, kw_only=True)
class RewardLearning(OptimiserConfig):
    """How a reward model learns from rankings, whatever it learns them for."""

    init_model: str = path(
        "policy_model",
        "The SFT model (a folder, or a name on the Hugging Face hub). Its unembedding is replaced by a fresh scalar"
        " head.",
        group="model",
        required=True,
    )
    max_prompt_tokens: int = option(
        256,
        "Longer prompts lose their beginning; how many is counted and logged.",
        group="data",
        min=8,
        max=32_768,
        unit="tokens",
    )
    max_response_tokens: int = option(
        256,
        "Longer responses lose their end (the score is still read at an end token); how many is counted and logged.",
        group="data",
        min=8,
        max=32_768,
        unit="tokens",
    )
    num_epochs: int = option(
        3,
        "Passes over the prompts. InstructGPT: 1, because it overfits quickly after that.",
        group="optimisation",
        min=1,
        max=1000,
    )
    batch_size: int = option(
        8,
        "Prompts per optimiser step; all pairs of all rankings of a prompt are one element of the mean (InstructGPT:"
        " 64 prompts).",
        group="optimisation",
        min=1,
        max=4096,
        unit="prompts",
    )
    micro_batch_size: int = option(
        8,
        "At most so many prompts per forward pass, with all their responses. Less memory when smaller; the result is"
        " the same up to rounding.",
        group="optimisation",
        min=1,
        max=4096,
        unit="prompts",
    )
    max_forward_tokens: int = option(
        1024,
        "At most so many tokens per forward pass; a prompt that has more with its responses goes alone. Less memory"
        " when smaller; the result is the same up to rounding.",
        group="optimisation",
        min=64,
        max=4_194_304,
        unit="tokens",
    )
    learning_rate: float = option(
        5e-4, "Peak learning rate (InstructGPT: 9e-6).", group="optimisation", min=1e-9, max=1.0
    )
    final_lr_fraction: float = option(
        0.1,
        "The cosine schedule ends at this share of the peak rate (InstructGPT: 0.1).",
        group="optimisation",
        min=0.0,
        max=1.0,
    )
    warmup_steps: int = option(
        0,
        "Steps of linear warm-up (the paper names none for the reward model).",
        group="optimisation",
        min=0,
        max=100_000,
        unit="steps",
    )
    divisor: str = option(
        "remaining_pairs",
        "What the summed loss of a ranking is divided by: the pairs that remain when ties are dropped,"
        " or 'all_pairs' = K(K-1)/2, which gives rankings with many ties less weight. The paper does not say which.",
        group="optimisation",
        choices=("remaining_pairs", "all_pairs"),
    )
    layout: str = option(
        "tree",
        "How responses are laid out for the forward pass; the scores and gradients are equal. 'tree' encodes the prompt"
        " once for all its responses, 'rows' each response after its own copy of the prompt, 'pairs' each pair of a"
        " ranking as two rows. A model whose family cannot read trees gets 'rows', and the log says so.",
        group="optimisation",
        choices=("tree", "rows", "pairs"),
    )


@dataclass(frozen=True, kw_only=True)
class RewardConfig(RewardLearning, TrainingConfig):
    """Reward model: learns from rankings to give a better response a higher number."""

    dataset: str = path(
        "snapshot:reward",
        "Snapshot of rankings. The train split trains, except the rankings of held-out labelers, which are only"
        " measured.",
        required=True,
    )
    demonstrations: str = path(
        "snapshot:sft",
        "Demonstrations whose mean score is set to 0 after training, as in InstructGPT."
        " Without them the mean score of the training responses is set to 0; the report says which.",
    )

    max_steps: int = option(
        0,
        "Stop after this many optimiser steps even if epochs remain; the schedule ends there too. 0 is no limit.",
        group="limits",
        min=0,
        max=10_000_000,
        unit="steps",
    )
    select: str = option(
        "best",
        "Which weights to publish: 'best' has the lowest loss on the valid split, measured after each epoch;"
        " 'last' is the end of training (InstructGPT trains one epoch and takes its end). Without valid rankings it is"
        " 'last', and the report says so.",
        group="optimisation",
        choices=("best", "last"),
    )
    bootstrap_samples: int = option(
        1000,
        "Resamples of prompts behind each confidence interval of the report.",
        group="limits",
        min=100,
        max=100_000,
    )
