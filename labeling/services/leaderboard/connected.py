"""Which models can be compared at all: those joined by rankings, over however many others."""

from collections.abc import Iterable


def parts(sets: Iterable[tuple[int, ...]], *, num_models: int) -> list[list[int]]:
    """The models in groups that no ranking joins; the largest group first."""
    group = list(range(num_models))
    for models in set(sets):
        ends = {_end(group, model) for model in models}
        for end in ends:
            group[end] = min(ends)
    found: dict[int, list[int]] = {}
    for model in range(num_models):
        found.setdefault(_end(group, model), []).append(model)
    return sorted(found.values(), key=lambda part: (-len(part), part))


def _end(group: list[int], model: int) -> int:
    while group[model] != model:
        model = group[model]
    return model
