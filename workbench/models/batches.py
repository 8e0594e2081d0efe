"""Batches by tokens, sorted by length: padding is work for nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

BATCH_TOKENS = 1_024
"""Tokens of one forward pass, padding included; about this size fills the caches best."""


def token_batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Positions grouped so that a group, padded to its longest, has at most ``budget`` tokens.

    Longest first. A single text longer than the budget is a group of its own.
    """
    group: list[int] = []
    longest = 0
    for position in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        longest = longest or max(1, lengths[position])
        if group and longest * (len(group) + 1) > budget:
            yield group
            group, longest = [], max(1, lengths[position])
        group.append(position)
    if group:
        yield group


def even_budget(lengths: Sequence[int], budget: int, workers: int) -> int:
    """A budget of at most ``budget`` with which all ``workers`` get about equally much to do.

    Args:
        lengths: Tokens of each text.
        budget: Tokens of a batch, at most.
        workers: Batches computed at the same time.
    """
    total = sum(lengths)
    rounds = max(1, math.ceil(total / (budget * workers)))
    return min(budget, math.ceil(total / (rounds * workers)) + max(lengths, default=0) // 2)
