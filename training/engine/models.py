"""Building, loading and saving models: language models, and reward models made of them.

Weights come from safetensors files alone: a pickle can run code when it is read. `trust_remote_code` is never on.
Everything is loaded in fp32 and in eval mode: a stage that wants dropout says `model.train()` itself.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
)
from transformers.pytorch_utils import Conv1D
from transformers.utils import is_liger_kernel_available

from training.contract.configs import ConfigError, OptimiserConfig
from training.engine import adapters, gelu
from training.engine.device import Compute
from training.engine.text import Text


class ModelError(ValueError):
    """A model that cannot be loaded, or is not of the kind that is wanted, with the reason."""


def build_tiny(text: Text, *, num_layers: int, width: int, num_heads: int, context: int, seed: int) -> Any:
    """A small GPT-2 with fresh weights; the same seed gives the same weights."""
    config = GPT2Config(
        vocab_size=len(text),
        n_positions=context,
        n_embd=width,
        n_layer=num_layers,
        n_head=num_heads,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        activation_function="gelu_pytorch_tanh",  # the same function as gelu_new, in one kernel
        bos_token_id=text.tokenizer.bos_token_id,
        eos_token_id=text.end_id,
        pad_token_id=text.pad_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model: Any = GPT2LMHeadModel(config)
    return model.eval()


def load_policy(model: str, text: Text) -> Any:
    """A causal language model in fp32, its embedding grown if `text` had to add a token. Raises ModelError."""
    policy = _load(AutoModelForCausalLM, model, text)
    if len(text) > policy.get_input_embeddings().num_embeddings:
        policy.resize_token_embeddings(len(text), mean_resizing=True)
    return policy


def reward_from_policy(model: str, text: Text, *, seed: int) -> Any:
    """The SFT model without its unembedding, with a fresh scalar head.

    The head is drawn from N(0, 1/√(d+1)) and has no bias (Stiennon et al. 2020, summarize-from-feedback, which
    InstructGPT follows).
    """
    reward = _load(AutoModelForSequenceClassification, model, text, num_labels=1)
    if len(text) > reward.get_input_embeddings().num_embeddings:
        reward.resize_token_embeddings(len(text), mean_resizing=True)
    draw_head(reward, seed=seed)
    return reward


def draw_head(reward: Any, *, seed: int) -> None:
    """Fill the scalar head with N(0, 1/√(d+1)); the same seed gives the same head."""
    head = _head(reward)
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(head.weight.shape, generator=generator) / math.sqrt(head.in_features + 1)
    if head.weight.is_meta:  # transformers gives no memory to a fresh head of any but the first process under FSDP
        head.weight = nn.Parameter(torch.empty_like(drawn))
    with torch.no_grad():
        head.weight.copy_(drawn)


def load_reward(model: str, text: Text) -> Any:
    """A reward model: `score(hidden)` includes the bias that sets the reference mean to 0. Raises ModelError."""
    reward = _load(AutoModelForSequenceClassification, model, text)
    if reward.config.num_labels != 1:
        raise ModelError(f"{model} has {reward.config.num_labels} labels; a reward model has one")
    _set_bias(reward, float(getattr(reward.config, "reward_bias", 0.0)))
    return reward


def set_reward_bias(reward: Any, bias: float) -> None:
    """Add `bias` to every score from now on. It is kept in the config (`reward_bias`), because other readers of the
    folder expect a head without one; to them all scores are shifted alike, which changes no comparison."""
    reward.config.reward_bias = bias
    _set_bias(reward, bias)


def load_as_it_is(folder: Path, *, kind: str) -> Any:
    """A model of the kind "policy" or "reward" in its own precision, to see that its files are a whole model.

    Raises ModelError when it cannot be read, or when weights are missing, which would silently be drawn at random.
    """
    auto_class = AutoModelForCausalLM if kind == "policy" else AutoModelForSequenceClassification
    try:
        model, found = auto_class.from_pretrained(
            folder,
            dtype="auto",
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise ModelError(f"no model can be read from its files: {error}") from error
    missing = sorted(found["missing_keys"])
    if missing:
        raise ModelError(f"{len(missing)} of its weights are in none of its files, among them {missing[0]}")
    return model


def save_model(model: Any, text: Text, folder: Path) -> None:
    """Write weights (safetensors), config and tokenizer to `folder`, and how a policy is sampled: as it is.

    Servers start from that last file. Without it `transformers serve` takes the likeliest token whatever temperature it
    is asked for, and other models' files cut or bend the distribution.
    """
    if model.can_generate():
        ids = {"bos_token_id": text.tokenizer.bos_token_id, "eos_token_id": text.end_id, "pad_token_id": text.pad_id}
        model.generation_config = GenerationConfig(do_sample=True, temperature=1.0, top_k=0, top_p=1.0, **ids)
    state = {name: tensor for name, tensor in model.state_dict().items() if name != "score.bias"}
    model.save_pretrained(folder, state_dict=state)
    text.save(folder)


def set_residual_dropout(model: Any, dropout: float) -> None:
    """Set the dropout on the residual stream, all other dropout to 0. Raises ConfigError for a model that has none."""
    layers = {name: module for name, module in model.named_modules() if isinstance(module, nn.Dropout)}
    residual = [name for name in layers if name.endswith(("resid_dropout", "mlp.dropout"))]
    if dropout and not residual:
        raise ConfigError("dropout", f"must be 0: a {model.config.model_type} model has no residual dropout")
    for name, module in layers.items():
        module.p = dropout if name in residual else 0.0
    for module in model.modules():
        if isinstance(getattr(module, "attention_dropout", None), float):  # Llama's kin keep it as a number
            module.attention_dropout = 0.0


def prepare_training(model: Any, config: OptimiserConfig) -> None:
    """What the config wishes for every model that learns: adapters, recomputed activations, Liger kernels."""
    if config.use_liger:
        from transformers.integrations.liger import apply_liger_kernel  # not in every version that is supported

        apply_liger_kernel(model, {"cross_entropy": False, "fused_linear_cross_entropy": False})  # the losses are ours
    if config.lora_rank:
        adapters.add(model, rank=config.lora_rank, alpha=config.lora_alpha, seed=config.seed)
    if config.gradient_checkpointing:
        _recompute_activations(model)


def store_as_computed(model: Any, compute: Compute) -> None:
    """Keep the matrices of a frozen model in the precision that every forward pass casts them to: half the memory under
    bf16, and not one number changes. Embeddings, norms and the scalar head are computed with as they are."""
    head, embeddings = model.get_output_embeddings(), model.get_input_embeddings()
    matrices = [module for module in model.base_model.modules() if isinstance(module, nn.Linear | Conv1D)]
    if head is not None and head.weight is not embeddings.weight:
        matrices.append(head)
    for parameter in (parameter for module in matrices for parameter in module.parameters(recurse=False)):
        parameter.data = parameter.data.to(compute.forward_dtype)


@contextmanager
def learning(model: Any) -> Iterator[None]:
    """Around the forward and backward passes of a model that learns without dropout.

    transformers recomputes activations in train mode alone; without that wish the model stays as it is.
    """
    recomputes = any(getattr(module, "gradient_checkpointing", False) for module in model.modules())
    if recomputes:
        set_residual_dropout(model, 0.0)
        model.train()
    yield
    if recomputes:
        model.eval()


def check_kernels(config: OptimiserConfig, device: torch.device) -> None:
    """Raises ConfigError when the config wishes for kernels that are not there."""
    if config.use_liger and device.type != "cuda":
        raise ConfigError("use_liger", "needs a CUDA GPU, and this run computes on a CPU")
    if config.use_liger and not is_liger_kernel_available():
        raise ConfigError("use_liger", "needs the package liger-kernel, which is not installed")


def max_positions(model: Any) -> int | None:
    """The longest row the model can read, in tokens; None when it does not say."""
    limit = getattr(model.config, "max_position_embeddings", None)
    return None if limit is None else int(limit)


def check_lengths(model: Any, *, max_prompt_tokens: int, max_response_tokens: int) -> None:
    """Raises ConfigError when rows of these lengths do not fit the model's positions."""
    limit = max_positions(model)
    if limit is not None and max_prompt_tokens + max_response_tokens > limit:
        raise ConfigError(
            "max_prompt_tokens",
            f"({max_prompt_tokens}) plus the longest response ({max_response_tokens}) do not fit the model's {limit}"
            f" positions",
        )


def check_text_length(model: Any, field: str, num_tokens: int) -> None:
    """Raises ConfigError, naming the field, when pieces of text of this length do not fit the model's positions."""
    limit = max_positions(model)
    if limit is not None and num_tokens > limit:
        raise ConfigError(field, f"must be at most {limit}, the model's positions, not {num_tokens}")


def num_parameters(model: Any) -> int:
    """How many numbers the model learns; tied weights count once."""
    return sum(parameter.numel() for parameter in model.parameters())


def describe(model: Any) -> str:
    """How large the model is and how much of it learns, for the log."""
    learn = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    total = num_parameters(model)
    return f"{total:,} parameters" + (f", {learn:,} of which learn" if learn < total else "")


def _recompute_activations(model: Any) -> None:
    if hasattr(model, "activation_checkpointing_enable"):
        model.activation_checkpointing_enable({"use_reentrant": False})
    else:  # its name before transformers 5.20
        model.gradient_checkpointing_enable({"use_reentrant": False})


def _load(auto_class: Any, model: str, text: Text, **options: Any) -> Any:
    is_folder = Path(model).is_dir()
    try:
        with _NothingDrawn():
            loaded = auto_class.from_pretrained(
                model,
                dtype=torch.float32,
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=is_folder,
                **options,
            )
    except (OSError, ValueError) as error:
        raise ModelError(f"no model can be read from {model}: {error}") from error
    gelu.fuse(loaded)
    loaded.config.pad_token_id = text.pad_id
    loaded.config.use_cache = True
    return loaded.eval()


class _NothingDrawn(TorchFunctionMode):
    """No random numbers for weights that have no memory yet: they come to nothing, and torch loads sympy, 35 MiB, to
    check them."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = args[0] if args else (kwargs or {}).get("tensor")
        is_for_nothing = isinstance(given, torch.Tensor) and given.is_meta and hasattr(nn.init, function.__name__)
        return given if is_for_nothing else function(*args, **(kwargs or {}))


def _head(reward: Any) -> nn.Linear:
    head = getattr(reward, "score", None)
    if not isinstance(head, nn.Linear):
        raise ModelError(f"a {reward.config.model_type} model has no scalar head named `score`")
    return head


def _set_bias(reward: Any, bias: float) -> None:
    head = _head(reward)
    if head.bias is None:
        head.bias = nn.Parameter(torch.zeros(1, dtype=head.weight.dtype, device=head.weight.device))
    with torch.no_grad():
        head.bias.fill_(bias)
