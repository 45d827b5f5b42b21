"""Torch uses one thread in tests: with several, spinning threads of parallel tests slow each other down by an order of
magnitude, and sums in another order have other last digits."""

import torch

torch.set_num_threads(1)
