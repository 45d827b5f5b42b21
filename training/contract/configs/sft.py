"""Config of the SFT stage."""

from dataclasses import dataclass

from training.contract.configs.fields import ConfigError, option, path
from training.contract.configs.stage import TrainingConfig


@dataclass(frozen=True, kw_only=True)
class SFTConfig(TrainingConfig):
    """Supervised fine-tuning: a language model learns to answer as the demonstrations do."""

    init_model: str = path(
        "model",
        "The model to start from: a model folder, the name of a model on the Hugging Face hub (the only case that"
        " uses the network),"
        " or 'tiny' to build a small byte-level GPT-2 and pretrain it on the shipped text within this run.",
        group="model",
        required=True,
    )
    dataset: str = path(
        "snapshot:sft", "Snapshot of demonstrations. Its train split trains; its valid split measures.", required=True
    )
    validation_prompts: str = path(
        "snapshot:prompts",
        "Prompts on which checkpoints are compared by reward score (their valid split, or all when it is empty)."
        " Needs a reward model.",
    )
    reward_model: str = path(
        "reward_model",
        "Reward model that selects the checkpoint, as in InstructGPT. Without it the lowest validation loss selects.",
        group="model",
    )
    pretraining_text: str = path(
        "snapshot:text",
        "Pretraining text: mixed into the batches by 'pretraining fraction', and, for 'tiny', pretrained on instead"
        " of the shipped text.",
    )

    pretraining_fraction: float = option(
        0.0,
        "Share of the rows of each batch that is pretraining text instead of demonstrations. Each token counts the same"
        " in the loss, so pieces of text that are longer than responses weigh more. InstructGPT mixes 10 % into the"
        " model that PPO starts from. Needs pretraining text (or 'tiny', which has its own).",
        group="data",
        min=0.0,
        max=0.9,
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
        "Longer responses lose their end, and with it the end token; how many is counted and logged.",
        group="data",
        min=8,
        max=32_768,
        unit="tokens",
    )

    num_epochs: int = option(
        6,
        "Passes over the demonstrations. InstructGPT: 16, knowingly past the lowest validation loss; 2 for the model"
        " that PPO starts from.",
        group="optimisation",
        min=1,
        max=1000,
    )
    batch_size: int = option(
        8,
        "Demonstrations per optimiser step, mixed-in pieces of text included (InstructGPT: 32).",
        group="optimisation",
        min=1,
        max=4096,
    )
    micro_batch_size: int = option(
        8,
        "At most so many demonstrations per forward pass. Less memory when smaller; the result is the same up to"
        " rounding.",
        group="optimisation",
        min=1,
        max=4096,
    )
    max_forward_tokens: int = option(
        8192,
        "At most so many tokens per forward pass; a demonstration that has more goes alone. Less memory when smaller;"
        " the result is the same up to rounding.",
        group="optimisation",
        min=64,
        max=4_194_304,
        unit="tokens",
    )
    packing: bool = option(
        True,
        "Put demonstrations one after the other in a row instead of padding them to one length; none sees another, and"
        " the loss is the same up to rounding. A model whose family cannot be packed gets padded rows, and the log says"
        " so.",
        group="optimisation",
    )
    learning_rate: float = option(
        1e-3, "Peak learning rate (InstructGPT: 9.65e-6 for 1.3B and 6B).", group="optimisation", min=1e-9, max=1.0
    )
    final_lr_fraction: float = option(
        0.1,
        "The cosine schedule ends at this share of the peak rate (InstructGPT: 0.1, no warm-up).",
        group="optimisation",
        min=0.0,
        max=1.0,
    )
    warmup_steps: int = option(
        0,
        "Steps of linear warm-up (InstructGPT: none for SFT).",
        group="optimisation",
        min=0,
        max=100_000,
        unit="steps",
    )
    dropout: float = option(
        0.0,
        "Residual dropout while training (InstructGPT: 0.2). Later stages always run without dropout.",
        group="optimisation",
        min=0.0,
        max=0.9,
    )
    max_steps: int = option(
        0,
        "Stop after this many optimiser steps even if epochs remain; the schedule ends there too. 0 is no limit.",
        group="limits",
        min=0,
        max=10_000_000,
        unit="steps",
    )
    evaluations_per_epoch: int = option(
        1,
        "How often per epoch the model is measured on the valid split and may become the best.",
        group="optimisation",
        min=1,
        max=100,
    )
    selection_max_prompts: int = option(
        32,
        "At most this many validation prompts are answered at each measurement when a reward model selects.",
        group="limits",
        min=1,
        max=10_000,
        unit="prompts",
    )

    tiny_layers: int = option(2, "Layers of the 'tiny' model.", group="model", min=1, max=24)
    tiny_width: int = option(
        192, "Width of the 'tiny' model; a multiple of the number of heads.", group="model", min=16, max=1024
    )
    tiny_heads: int = option(3, "Attention heads of the 'tiny' model.", group="model", min=1, max=16)
    tiny_context: int = option(
        512,
        "Longest sequence of the 'tiny' model; it reads bytes, so one token is one byte.",
        group="model",
        min=64,
        max=8192,
        unit="tokens",
    )
    pretrain_steps: int = option(
        400, "Optimiser steps of pretraining for 'tiny'.", group="optimisation", min=1, max=1_000_000, unit="steps"
    )
    pretrain_batch_size: int = option(
        8, "Text pieces per pretraining step for 'tiny'.", group="optimisation", min=1, max=4096
    )
    pretrain_sequence_tokens: int = option(
        128,
        "Length of a text piece in pretraining and in the mix. For 'tiny' some steps have fewer pieces of twice and"
        " four times this length, so that later positions are learnt too.",
        group="data",
        min=16,
        max=32_768,
        unit="tokens",
    )
    pretrain_learning_rate: float = option(
        0.02,
        "Peak learning rate of pretraining for 'tiny' (2 % warm-up, cosine to 10 %). It is that of Muon, which learns"
        " the layers' matrices; embeddings and vectors learn by AdamW at 0.15 of it.",
        group="optimisation",
        min=1e-9,
        max=1.0,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.validation_prompts and not self.reward_model:
            raise ConfigError(
                "reward_model", "must be given, because validation prompts are given: their answers are scored by it"
            )
        if self.reward_model and not self.validation_prompts:
            raise ConfigError(
                "validation_prompts", "must be given, because a reward model is given: it scores answers to them"
            )
        if self.pretraining_fraction and not self.pretraining_text and self.init_model != "tiny":
            raise ConfigError("pretraining_text", "must be given when pretraining fraction is above 0")
        if self.init_model == "tiny":
            self._check_tiny()

    def _check_tiny(self) -> None:
        if self.lora_rank:
            raise ConfigError("lora_rank", "must be 0 for 'tiny': a model without pretraining learns as a whole")
        if self.tiny_width % self.tiny_heads:
            raise ConfigError("tiny_width", f"must be a multiple of {self.tiny_heads} heads, not {self.tiny_width}")
        if self.max_prompt_tokens + self.max_response_tokens > self.tiny_context:
            raise ConfigError("tiny_context", "must hold max prompt tokens plus max response tokens")
        if self.pretrain_sequence_tokens > self.tiny_context:
            raise ConfigError("tiny_context", "must hold pretrain sequence tokens")
