"""Named sets of values. `tiny-cpu` is each class's own defaults; the others say only what differs.

`paper` is InstructGPT (arXiv 2203.02155). Where the paper prints no number, the field's help says so and the default
stands.
"""

from typing import Any, Final

PRESETS: Final = ("tiny-cpu", "small-gpu", "paper")

_LENGTHS: Final = {"max_prompt_tokens": 1024, "max_response_tokens": 1024}
_SAMPLING: Final = {"max_prompt_tokens": 1024, "max_new_tokens": 1024}
_SMALL_SAMPLING: Final = {"max_prompt_tokens": 512, "max_new_tokens": 256}

#: How a reward model learns, for the stage that makes one and for the one that draws curves.
_SMALL_REWARD: Final = {
    "max_prompt_tokens": 512,
    "max_response_tokens": 512,
    "num_epochs": 1,
    "batch_size": 32,
    "micro_batch_size": 32,
    "max_forward_tokens": 16_384,
    "learning_rate": 1e-5,
}
_PAPER_REWARD: Final = _LENGTHS | {
    "num_epochs": 1,
    "batch_size": 64,
    "micro_batch_size": 64,
    "max_forward_tokens": 16_384,
    "learning_rate": 9e-6,
}

OVERRIDES: Final[dict[str, dict[str, dict[str, Any]]]] = {
    "sft": {
        "tiny-cpu": {"init_model": "tiny"},
        "small-gpu": {
            "max_prompt_tokens": 512,
            "max_response_tokens": 512,
            "tiny_context": 1024,
            "num_epochs": 3,
            "batch_size": 32,
            "learning_rate": 1e-5,
            "checkpoint_every": 100,
        },
        "paper": _LENGTHS
        | {
            "tiny_context": 2048,
            "num_epochs": 16,
            "batch_size": 32,
            "learning_rate": 9.65e-6,
            "dropout": 0.2,
            "checkpoint_every": 100,
            "selection_max_prompts": 256,
        },
    },
    "reward": {
        "tiny-cpu": {},
        "small-gpu": _SMALL_REWARD | {"checkpoint_every": 100},
        "paper": _PAPER_REWARD | {"select": "last", "checkpoint_every": 100},
    },
    "ppo": {
        "tiny-cpu": {"checkpoint_every": 5},
        "small-gpu": _SMALL_SAMPLING
        | {
            "num_episodes": 16_384,
            "kl_coef": 0.02,
            "ema_decay": 0.97,
            "batch_size": 128,
            "minibatch_size": 32,
            "micro_batch_size": 16,
            "learning_rate": 3e-6,
            "value_learning_rate": 9e-6,
            "warmup_iterations": 10,
            "checkpoint_every": 10,
        },
        "paper": _SAMPLING
        | {
            "num_episodes": 256_000,
            "kl_coef": 0.02,
            "ema_decay": 0.992,
            "batch_size": 512,
            "minibatch_size": 64,
            "micro_batch_size": 16,
            "ptx_coef": 27.8,
            "ptx_sequence_tokens": 2048,
            "learning_rate": 9e-6,
            "value_learning_rate": 9e-6,
            "warmup_iterations": 10,
            "checkpoint_every": 10,
        },
    },
    "generate": {
        "tiny-cpu": {},
        "small-gpu": _SMALL_SAMPLING | {"batch_size": 64},
        "paper": _SAMPLING | {"batch_size": 64},
    },
    "score": {
        "tiny-cpu": {},
        "small-gpu": {"max_prompt_tokens": 512, "max_response_tokens": 512, "max_forward_tokens": 16_384},
        "paper": _LENGTHS | {"max_forward_tokens": 16_384},
    },
    "curve": {
        "tiny-cpu": {},
        "small-gpu": _SMALL_REWARD,
        "paper": _PAPER_REWARD,
    },
    "evaluate": {
        "tiny-cpu": {},
        "small-gpu": _SMALL_SAMPLING | {"max_response_tokens": 512, "batch_size": 64},
        "paper": _SAMPLING | {"max_response_tokens": 1024, "batch_size": 64},
    },
}
