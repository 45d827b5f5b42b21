"""The fields that every stage has, written once."""

from dataclasses import dataclass

from training.contract.configs.fields import check, option


@dataclass(frozen=True, kw_only=True)
class StageConfig:
    """Fields of every stage."""

    seed: int = option(
        0,
        "Seed of every source of chance: order of the data, initial weights, dropout, sampling. Same seed, same"
        " machine: same run.",
        group="limits",
        min=0,
        max=2**31 - 1,
    )
    device: str = option(
        "auto",
        "Where to compute. 'auto' takes the GPU when there is one.",
        group="limits",
        choices=("auto", "cpu", "cuda"),
    )
    precision: str = option(
        "auto",
        "Precision of the forward pass; the trained weights are always kept in fp32. 'auto' is bf16 on a GPU and"
        " fp32 on a CPU.",
        group="limits",
        choices=("auto", "fp32", "bf16"),
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True)
class OptimiserConfig(StageConfig):
    """Fields of the stages in which a model learns."""

    max_grad_norm: float = option(
        1.0,
        "Gradients are scaled down to this global norm when they are longer. The paper does not print its value.",
        group="optimisation",
        min=0.0,
        max=1000.0,
    )
    weight_decay: float = option(
        0.0,
        "AdamW weight decay. The paper does not print its value; 0 is plain Adam.",
        group="optimisation",
        min=0.0,
        max=1.0,
    )
    adam_beta1: float = option(
        0.9, "Adam β1 (InstructGPT: 0.9 for every stage).", group="optimisation", min=0.0, max=0.9999
    )
    adam_beta2: float = option(
        0.95, "Adam β2 (InstructGPT: 0.95 for every stage).", group="optimisation", min=0.0, max=0.99999
    )
    adam_epsilon: float = option(
        1e-8,
        "Adam ε. OpenAI's PPO code uses 1e-5 for PPO; other stages keep 1e-8. The paper does not print it.",
        group="optimisation",
        min=0.0,
        max=0.1,
    )
    lora_rank: int = option(
        0,
        "Rank of LoRA adapters: only small matrices beside the frozen weights learn, which needs far less memory, and"
        " the published model has them merged in. 0 trains all weights (InstructGPT). Adapters want a learning rate"
        " about ten times as high.",
        group="optimisation",
        min=0,
        max=1024,
    )
    lora_alpha: float = option(
        32.0,
        "What LoRA adapters add is multiplied by this over their rank.",
        group="optimisation",
        min=0.1,
        max=4096.0,
    )
    gradient_checkpointing: bool = option(
        False,
        "Keep only the input of each layer and compute the rest again in the backward pass: much less memory for about"
        " a third more time; the result is the same.",
        group="limits",
    )
    use_liger: bool = option(
        False,
        "Use the Triton kernels of the package liger-kernel for norms, rotary positions and the feed-forward layers."
        " Needs that package and a CUDA GPU.",
        group="limits",
    )


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(OptimiserConfig):
    """Fields of the stages that train one model, and go on from a checkpoint."""

    checkpoint_every: int = option(
        50,
        "Write a checkpoint after this many steps. A killed run goes on from the last one; the last two and the best"
        " are kept.",
        group="limits",
        min=1,
        max=100_000,
        unit="steps",
    )
