"""LoRA adapters (Hu et al. 2021, by `peft`): small matrices that learn beside frozen weights.

They are injected into the model in place, so that it stays the transformers model that everything else knows. What is
published is the merged model, a plain folder. Functions here do nothing to a model without adapters, but for `add`.
"""

import copy
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from training.engine.checkpoints import CheckpointError


def add(model: Any, *, rank: int, alpha: float, seed: int) -> None:
    """Freeze the model and give every linear layer of its body an adapter; a scalar head goes on learning as a whole.

    An adapter adds alpha/rank · B·A to its layer's weight; B starts at 0, so the model says what it said before.
    """
    from peft import LoraConfig, inject_adapter_in_model  # only a run with adapters needs it

    body = {id(module) for module in model.base_model.modules()}
    linear = {
        name: module
        for name, module in model.named_modules()
        if id(module) in body and isinstance(module, nn.Linear | Conv1D)
    }
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=0.0,
        bias="none",
        target_modules=list(linear),
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in linear.values()),  # Conv1D keeps W transposed
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        inject_adapter_in_model(config, model)
    if isinstance(getattr(model, "score", None), nn.Module):
        model.score.requires_grad_(True)


def has_adapters(model: Any) -> bool:
    """Does only a part of this model learn?"""
    return bool(_layers(model))


def merge(model: Any) -> None:
    """Add every adapter to the weight beside it and take it out: a plain model remains."""
    for name, layer in _layers(model).items():
        layer.merge()
        parent, _, attribute = name.rpartition(".")
        setattr(model.get_submodule(parent), attribute, layer.get_base_layer())
    if hasattr(model, "peft_config"):
        del model.peft_config


def state(model: Any) -> dict[str, Tensor]:
    """What a checkpoint keeps of the model: all of it, or, with adapters, what learns."""
    if not has_adapters(model):
        whole: dict[str, Tensor] = model.state_dict()
        return whole
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def load_state(model: Any, values: Mapping[str, Tensor]) -> None:
    """Undo everything since `state`. Raises CheckpointError when it is the state of another kind of model."""
    if not has_adapters(model):
        model.load_state_dict(values)
        return
    parameters = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    if parameters.keys() != values.keys():
        raise CheckpointError("the checkpoint holds other weights than those that learn here")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(values[name])


class WithoutAdapters:
    """A model as it was before its adapters, as a frozen view: it shares every weight, and keeps its own scalar head.

    PPO's reference is the policy without its adapters, and its reward model the value model without them.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self.config = model.config
        self.score = copy.deepcopy(model.score).requires_grad_(False) if hasattr(model, "score") else None

    @torch.no_grad()
    def base_model(self, **inputs: Any) -> Any:
        """The forward pass of the body, without a graph."""
        with _switched_off(self._model):
            return self._model.base_model(**inputs)

    def get_output_embeddings(self) -> Any:
        """The unembedding, which adapters leave alone."""
        return self._model.get_output_embeddings()

    def parameters(self) -> Iterator[Tensor]:
        """Where the model is: its parameters."""
        found: Iterator[Tensor] = self._model.parameters()
        return found


@contextmanager
def _switched_off(model: Any) -> Iterator[None]:
    layers = _layers(model).values()
    for layer in layers:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)


def _layers(model: Any) -> dict[str, Any]:
    """The layers that have an adapter, by name."""
    if "peft" not in sys.modules:  # nobody can have added one
        return {}
    from peft.tuners.tuners_utils import BaseTunerLayer

    return {name: module for name, module in model.named_modules() if isinstance(module, BaseTunerLayer)}
