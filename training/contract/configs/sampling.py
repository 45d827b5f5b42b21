"""Configs of the stages that train nothing: generate and evaluate."""

from dataclasses import dataclass

from training.contract.configs.fields import ConfigError, option, path
from training.contract.configs.stage import StageConfig


@dataclass(frozen=True, kw_only=True)
class GenerateConfig(StageConfig):
    """Generate: K responses for each prompt, to be ranked by people."""

    model: str = path("policy_model", "The model that answers. Needed unless a server answers.", group="model")
    prompts: str = path("snapshot:prompts", "Prompts to answer.", required=True)

    split: str = option(
        "all", "Which prompts of the snapshot to answer.", group="data", choices=("all", "train", "valid", "test")
    )
    num_responses: int = option(
        4, "K, the responses per prompt (InstructGPT: 4 to 9).", group="sampling", min=1, max=32
    )
    temperature: float = option(
        1.0,
        "Sampling temperature (InstructGPT: 1). 0 takes the likeliest token each time.",
        group="sampling",
        min=0.0,
        max=10.0,
    )
    top_p: float = option(
        1.0,
        "Sample only from the likeliest tokens that together have this probability. 1 is plain sampling.",
        group="sampling",
        min=0.01,
        max=1.0,
    )
    max_prompt_tokens: int = option(
        256,
        "Longer prompts lose their beginning; how many is counted and logged.",
        group="sampling",
        min=8,
        max=32_768,
        unit="tokens",
    )
    max_new_tokens: int = option(128, "Longest response.", group="sampling", min=4, max=32_768, unit="tokens")
    batch_size: int = option(16, "Responses sampled together.", group="limits", min=1, max=4096)

    backend: str = option(
        "local",
        "Who answers: the model in this process, by our own cached loop ('local': samples depend on the seed and their"
        " own name alone) or by transformers' continuous batching ('continuous': for a GPU and large batches; samples"
        " depend on the batch, too); or any server with OpenAI's chat completions API ('openai').",
        group="model",
        choices=("local", "continuous", "openai"),
    )
    server_url: str = option(
        "",
        "Address of the server up to and with /v1. A key, if it wants one, comes from OPENAI_API_KEY.",
        group="model",
    )
    server_model: str = option("", "The model's name on the server.", group="model")
    server_concurrency: int = option(4, "Requests to the server at one time.", group="limits", min=1, max=256)
    server_requests_per_minute: int = option(
        0,
        "At most so many requests to the server in a minute, tries after the first included, evenly spaced. 0 is no"
        " limit.",
        group="limits",
        min=0,
        max=1_000_000,
    )
    server_retries: int = option(
        3,
        "Tries after the first when the server is busy or does not answer, each after a longer wait.",
        group="limits",
        min=0,
        max=20,
    )
    server_timeout: float = option(
        120.0, "Longest wait for one answer of the server.", group="limits", min=1.0, max=3600.0, unit="seconds"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.temperature == 0.0 and self.num_responses > 1:
            raise ConfigError("temperature", "must be above 0 for more than one response: all would be the same")
        if self.backend != "openai" and not self.model:
            raise ConfigError("model", "must be given, because it is to answer")
        if self.backend == "openai" and not self.server_url.startswith(("http://", "https://")):
            raise ConfigError("server_url", "must be an http or https address, because a server is to answer")
        if self.backend == "openai" and not self.server_model:
            raise ConfigError("server_model", "must be given, because a server is to answer")


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(StageConfig):
    """Evaluate: what a policy or a reward model is worth on data that did not train it."""

    model: str = path("policy_model", "The policy to measure.", group="model")
    reference_model: str = path(
        "policy_model",
        "The model that the policy came from: KL and the alignment tax are measured against it.",
        group="model",
    )
    reward_model: str = path(
        "reward_model", "The reward model to measure, or that scores the policy's answers.", group="model"
    )
    dataset: str = path("snapshot:reward", "Rankings: pair accuracy of the reward model.")
    prompts: str = path("snapshot:prompts", "Prompts: reward and KL of the policy's answers.")
    text: str = path(
        "snapshot:text", "Held-out pretraining text: loss of the policy and of its reference (alignment tax)."
    )
    truthfulqa: str = path(
        "file", "TruthfulQA as CSV: multiple-choice accuracy (MC1, MC2) of the policy and of its reference."
    )
    harmful_prompts: str = path(
        "file",
        "Harmful prompts, as CSV or JSON lines with 'prompt' (and 'category', if you like): how often the policy"
        " complies, and how often it refuses, by rules that the report shows with examples.",
    )
    paraphrases: str = path(
        "file",
        "Pairs of prompts that ask the same, as CSV or JSON lines with 'prompt' and 'paraphrase': how alike the"
        " policy's answers to both are, and their rewards.",
    )

    split: str = option(
        "valid", "Which split of each snapshot to measure on.", group="data", choices=("all", "train", "valid", "test")
    )
    num_responses: int = option(1, "Responses per prompt that are scored.", group="sampling", min=1, max=32)
    temperature: float = option(
        1.0, "Sampling temperature of the scored responses.", group="sampling", min=0.01, max=10.0
    )
    max_prompt_tokens: int = option(
        256,
        "Longer prompts lose their beginning; how many is counted and logged.",
        group="sampling",
        min=8,
        max=32_768,
        unit="tokens",
    )
    max_new_tokens: int = option(128, "Longest response.", group="sampling", min=4, max=32_768, unit="tokens")
    max_response_tokens: int = option(
        256,
        "Longer responses of the rankings lose their end; how many is counted in the report. Give the number that the"
        " reward model was trained with.",
        group="data",
        min=8,
        max=32_768,
        unit="tokens",
    )
    text_piece_tokens: int = option(
        128, "Length of the pieces on which the text loss is measured.", group="data", min=16, max=32_768, unit="tokens"
    )
    max_text_pieces: int = option(
        256, "At most this many pieces of text are measured, spread evenly over it.", group="limits", min=1, max=100_000
    )
    batch_size: int = option(16, "Rows per forward pass.", group="limits", min=1, max=4096)
    bootstrap_samples: int = option(
        1000, "Resamples of prompts behind each confidence interval.", group="limits", min=100, max=100_000
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        policy_data = self.prompts or self.text or self.truthfulqa or self.harmful_prompts or self.paraphrases
        if not (self.dataset or policy_data):
            raise ConfigError("dataset", "or other data must be given: there is nothing to measure")
        if self.dataset and not self.reward_model:
            raise ConfigError("reward_model", "must be given, because rankings are given: it is what they measure")
        if policy_data and not self.model:
            raise ConfigError("model", "must be given, because prompts, text or questions are: it is what they measure")
