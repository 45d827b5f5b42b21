"""Keys and values with room: the same as a cache that grows by copying, whoever leaves and however long it gets."""

import random

import torch
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

from training.engine import kv_cache


def random_keys(num_rows: int, num_tokens: int) -> torch.Tensor:
    return torch.randn(num_rows, 2, num_tokens, 4)


def test_the_last_rows_take_the_places_of_those_that_have_gone() -> None:
    assert kv_cache.closed_up(torch.tensor([True, False, True, True, False, True])).tolist() == [0, 5, 2, 3]
    assert kv_cache.closed_up(torch.tensor([False, False, True, True])).tolist() == [2, 3]
    assert kv_cache.closed_up(torch.tensor([True, True])).tolist() == [0, 1]
    assert kv_cache.closed_up(torch.tensor([False, False])).tolist() == []


def test_it_holds_what_a_cache_that_copies_holds() -> None:
    torch.manual_seed(0)
    draw = random.Random(0)
    plain = DynamicLayer()
    plain.update(random_keys(8, 5), random_keys(8, 5))
    cache = DynamicCache()
    cache.layers = [DynamicLayer()]
    cache.layers[0].update(plain.keys, plain.values)
    kv_cache.make_room(cache)
    for _ in range(2 * kv_cache.ROOM + 10):
        new = random_keys(len(plain.keys), 1), random_keys(len(plain.keys), 1)
        for ours, theirs in zip(cache.update(*new, layer_idx=0), plain.update(*new), strict=True):
            assert torch.equal(ours, theirs)
        if draw.random() < 0.05 and len(plain.keys) > 1:
            kept = kv_cache.closed_up(torch.arange(len(plain.keys)) != draw.randrange(len(plain.keys)))
            cache.batch_select_indices(kept)
            plain.batch_select_indices(kept)
    assert 1 < len(plain.keys) < 8
    assert cache.get_seq_length() == plain.get_seq_length() == 5 + 2 * kv_cache.ROOM + 10


def test_each_row_of_the_prompts_is_repeated_and_layers_with_a_window_are_left_alone() -> None:
    cache = DynamicCache()
    cache.layers = [DynamicLayer(), DynamicSlidingWindowLayer(sliding_window=4)]
    given = random_keys(2, 6)
    for layer in cache.layers:
        layer.update(given, given)
    kv_cache.make_room(cache, num_repeats=3)
    assert torch.equal(cache.layers[0].keys, given.repeat_interleave(3, dim=0))
    assert isinstance(cache.layers[1], DynamicSlidingWindowLayer)
    assert len(cache.layers[1].keys) == 6
