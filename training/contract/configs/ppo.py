"""Config of the PPO stage."""

from dataclasses import dataclass

from training.contract.configs.fields import ConfigError, option, path
from training.contract.configs.stage import TrainingConfig


@dataclass(frozen=True, kw_only=True)
class PPOConfig(TrainingConfig):
    """PPO and PPO-ptx: the policy learns to please the reward model without leaving the SFT model far behind."""

    policy_model: str = path(
        "policy_model",
        "The SFT model: where the policy starts, and the fixed reference of the KL penalty.",
        group="model",
        required=True,
    )
    reward_model: str = path(
        "reward_model",
        "The reward model; it also gives the value function its first weights.",
        group="model",
        required=True,
    )
    prompts: str = path(
        "snapshot:prompts", "Prompts to answer. The train split trains; the valid split measures.", required=True
    )
    pretraining_text: str = path(
        "snapshot:text", "Pretraining text for PPO-ptx. Needed when the ptx coefficient is above 0."
    )

    num_episodes: int = option(
        640,
        "Responses sampled in the whole run (InstructGPT: 256,000).",
        group="ppo",
        min=1,
        max=10_000_000,
        unit="episodes",
    )
    batch_size: int = option(
        32, "Responses sampled per iteration (InstructGPT: 512).", group="ppo", min=1, max=8192, unit="episodes"
    )
    minibatch_size: int = option(
        8, "Responses per optimiser step (InstructGPT: 64).", group="ppo", min=1, max=8192, unit="episodes"
    )
    micro_batch_size: int = option(
        32,
        "Responses per forward pass. Less memory when smaller; the result is the same up to rounding.",
        group="ppo",
        min=1,
        max=8192,
    )
    packing: bool = option(
        True,
        "Put the responses of a forward pass one after the other in a row instead of padding them to one length; none"
        " sees another, and the result is the same up to rounding. A model whose family cannot be packed gets padded"
        " rows, and the log says so.",
        group="ppo",
    )
    num_inner_epochs: int = option(
        1, "Passes over each batch of responses (InstructGPT: 1).", group="ppo", min=1, max=16
    )
    kl_coef: float = option(
        0.05,
        "β, the weight of the per-token KL penalty against the SFT model (InstructGPT: 0.02, constant; the tiny model"
        " needs more, since a byte carries little KL).",
        group="ppo",
        min=0.0,
        max=10.0,
    )
    ptx_coef: float = option(
        0.0,
        "γ of PPO-ptx (InstructGPT: 27.8; 0 is plain PPO). Its size depends on how the losses are normalised: here"
        " the PPO loss is a mean over"
        " response tokens and the ptx loss a mean over text tokens, and γ multiplies the latter.",
        group="ppo",
        min=0.0,
        max=1000.0,
    )
    ptx_examples_per_episode: int = option(
        8, "Text pieces per sampled response when γ is above 0 (InstructGPT: 8).", group="ppo", min=1, max=64
    )
    ptx_sequence_tokens: int = option(
        128, "Length of each text piece of the ptx loss.", group="ppo", min=16, max=32_768, unit="tokens"
    )
    gae_lambda: float = option(
        0.95,
        "λ of generalised advantage estimation; there is no discount. The paper does not print it: 0.95 is from"
        " OpenAI's earlier code.",
        group="ppo",
        min=0.0,
        max=1.0,
    )
    clip_range: float = option(
        0.2, "The policy ratio is clipped to 1 ± this (InstructGPT: 0.2).", group="ppo", min=0.01, max=1.0
    )
    value_clip_range: float = option(
        0.2,
        "New values stay within this of the old ones in the clipped value loss (OpenAI's code: 0.2).",
        group="ppo",
        min=0.01,
        max=100.0,
    )
    value_coef: float = option(
        1.0,
        "Weight of the value loss, 0.5 · squared error. The value function has its own weights.",
        group="ppo",
        min=0.0,
        max=100.0,
    )
    whiten_rewards: bool = option(
        False,
        "Divide each batch's per-token rewards by their standard deviation, keeping the mean (OpenAI's earlier code"
        " does; the paper does not say).",
        group="ppo",
    )
    missing_end_rule: str = option(
        "penalise",
        "What happens to the score of a response that was cut off before its end token: a penalty is subtracted from"
        " it, a fixed score replaces it (OpenAI's summarisation code: −1), or it stands.",
        group="ppo",
        choices=("penalise", "replace", "keep"),
    )
    missing_end_penalty: float = option(
        1.0, "Subtracted when the rule for a missing end is 'penalise'.", group="ppo", min=0.0, max=100.0
    )
    missing_end_score: float = option(
        -1.0, "The score itself when the rule for a missing end is 'replace'.", group="ppo", min=-100.0, max=100.0
    )
    kl_control: str = option(
        "fixed",
        "'fixed' keeps β constant (InstructGPT). 'adaptive' steers β so that the mean KL of a response stays at the KL"
        " target (Ziegler et al. 2019).",
        group="ppo",
        choices=("fixed", "adaptive"),
    )
    kl_target: float = option(
        6.0, "Mean KL of a response that adaptive control aims at.", group="ppo", min=0.01, max=1000.0, unit="nats"
    )
    kl_horizon: int = option(
        10_000,
        "Episodes in which adaptive control may change β by a fifth.",
        group="ppo",
        min=1,
        max=10_000_000,
        unit="episodes",
    )
    kl_budget: float = option(
        20.0,
        "Alarm when the mean KL of a response passes this while the reward still rises: a sign of over-optimisation.",
        group="ppo",
        min=0.0,
        max=10_000.0,
        unit="nats",
    )
    stop_at_kl_budget: bool = option(
        False, "End the run, successfully, once the mean KL of a response has passed the budget.", group="ppo"
    )
    num_valid_prompts: int = option(
        32,
        "At most this many prompts of the valid split are answered before and after, by the published weights.",
        group="limits",
        min=0,
        max=10_000,
        unit="prompts",
    )
    best_of: int = option(
        0,
        "For comparison: before training, the SFT model answers each of those prompts this many times, and the best"
        " answer by the reward model counts. What choosing alone reaches, PPO should reach with one answer. 0: not.",
        group="limits",
        min=0,
        max=64,
        unit="responses",
    )
    ema_decay: float = option(
        0.8,
        "Decay per iteration of the moving average of the policy's weights; the average is what is published"
        " (InstructGPT: 0.992, for 500 iterations; a short run needs a shorter memory).",
        group="ppo",
        min=0.0,
        max=0.99999,
    )

    learning_rate: float = option(
        1.5e-4,
        "Policy learning rate, constant after warm-up. The paper searches it per model size and prints 9e-6 only for"
        " the value function.",
        group="optimisation",
        min=1e-9,
        max=1.0,
    )
    value_learning_rate: float = option(
        5e-4, "Learning rate of the value function (InstructGPT: 9e-6).", group="optimisation", min=1e-9, max=1.0
    )
    warmup_iterations: int = option(
        3,
        "Iterations of linear warm-up from a tenth of the rate (InstructGPT: 10).",
        group="optimisation",
        min=0,
        max=100_000,
        unit="iterations",
    )
    adam_epsilon: float = option(
        1e-5, "Adam ε (OpenAI's PPO code: 1e-5; the paper does not print it).", group="optimisation", min=0.0, max=0.1
    )

    temperature: float = option(
        1.0,
        "Sampling temperature; every log-probability is divided by it too (InstructGPT: 1).",
        group="sampling",
        min=0.01,
        max=10.0,
    )
    max_prompt_tokens: int = option(
        128,
        "Longer prompts lose their beginning; how many is counted and logged.",
        group="sampling",
        min=8,
        max=32_768,
        unit="tokens",
    )
    max_new_tokens: int = option(
        64,
        "Longest response; one that reaches this without an end token counts as 'missing end'.",
        group="sampling",
        min=4,
        max=32_768,
        unit="tokens",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch_size % self.minibatch_size:
            raise ConfigError(
                "minibatch_size", f"must divide the batch of {self.batch_size}, and {self.minibatch_size} does not"
            )
        if self.num_episodes < self.batch_size:
            raise ConfigError("num_episodes", f"must be at least one batch of {self.batch_size}")
        if self.ptx_coef and not self.pretraining_text:
            raise ConfigError("pretraining_text", "must be given when the ptx coefficient is above 0")
