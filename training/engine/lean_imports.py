"""What a stage does not need stays out of its process: it starts sooner and holds some 100 MiB less.

- With its modelling code transformers loads its losses for object detection, and they load scipy where it is installed;
  accelerate loads boto3, for Amazon's SageMaker. No stage uses either.
- In a run of one process transformers need not know of torch's sharded tensors.
- torch's compiler, with sympy, waits until something compiles: `training.engine.late_compiler`.

The last two on machines without a GPU alone: there the host's memory is what a stage lives in.

Here modelling code is loaded as if these were not there. Whoever imports them afterwards gets them as ever.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import transformers.utils
from transformers.utils import import_utils

from training.engine import late_compiler


@contextmanager
def _as_if_absent(*questions: str) -> Iterator[None]:
    """transformers hears "no" to these questions, and nobody finds boto3."""
    places: list[Any] = [transformers.utils, import_utils]
    answers = [(place, question, getattr(place, question)) for place in places for question in questions]
    for place, question, _ in answers:
        setattr(place, question, lambda: False)
    hides_boto3 = sys.modules.setdefault("boto3", None) is None  # type: ignore[arg-type]  # None: it cannot be found
    yield
    if hides_boto3:
        del sys.modules["boto3"]
    for place, question, answer in answers:
        setattr(place, question, answer)


_unused = ["is_scipy_available"]
if not torch.cuda.is_available():  # where memory is short; what is made for GPUs finds all as it expects it
    late_compiler.install()
    _unused += ["is_torch_distributed_available"] if int(os.environ.get("WORLD_SIZE", "1")) == 1 else []
with _as_if_absent(*_unused):
    import transformers.loss.loss_utils
    import transformers.modeling_utils
