"""Random ListOps trees with their answers, many at a time.

Nangia & Bowman, "ListOps: A diagnostic dataset for latent tree learning", 2018, in the distribution
of the Long Range Arena (Tay et al., ICLR 2021, appendix A.1, and its released generator).

A batch of trees is a list of levels. A level holds the nodes of one depth, tree by tree from left
to right, so that the arguments of an operator are neighbours on the next level.
"""

import itertools
from dataclasses import dataclass

import numpy as np

from tnnlab.data.lra.ragged import Ragged

OPERATOR_PROBABILITY = 0.25
# Tokens 0 … 9 are the digits themselves.
MIN, MAX, MED, SM, CLOSE = 10, 11, 12, 13, 14
_TREES = 4096  # grown at once; part of what a seed means


@dataclass
class _Level:
    symbols: np.ndarray  # (nodes,) digits and operators
    trees: np.ndarray  # (nodes,) the tree of each node, ascending
    arguments: np.ndarray  # (nodes,) how many nodes of the next level are its own; digits: 0


def generate_listops(
    count: int,
    *,
    seed: int,
    shortest: int = 501,
    longest: int = 1999,
    max_depth: int = 10,
    max_arguments: int = 10,
) -> tuple[Ragged, np.ndarray]:
    """Different expressions with their values.

    A node at depth t (root: 1) is an operator with probability 1/4 where t < ``max_depth``, else a
    digit. Digits, the four operators and the number of arguments (2 … ``max_arguments``) are
    uniform. The length of an expression counts digits, operators and closing brackets; those
    outside ``shortest … longest`` are thrown away, and so are duplicates.

    Args:
        count: how many; the first ones are the same for every count.
        seed: of the random numbers.
        shortest, longest: allowed lengths, both included.
        max_depth: depth of the deepest digits.
        max_arguments: at least 2.

    Returns:
        tokens uint8, ``count`` rows; and the values, uint8 of ``(count,)``.

    Raises:
        ValueError: a range without any expression.

    >>> rows, values = generate_listops(3, seed=0, shortest=5, longest=20)
    >>> len(rows), bool((rows.lengths <= 20).all()), values.shape
    (3, True, (3,))
    """
    if not 4 <= shortest <= longest or max_depth < 2 or max_arguments < 2:
        raise ValueError(
            "an expression has at least 4 symbols, depth 2 and 2 arguments; given lengths "
            f"{shortest} to {longest}, depth {max_depth}, up to {max_arguments} arguments"
        )
    rows: dict[bytes, int] = {}
    for chunk in itertools.count():
        if len(rows) >= count:
            break
        found = len(rows)
        rng = np.random.default_rng([seed, chunk])
        levels = _grow(rng, longest, max_depth, max_arguments)
        rows |= _finish(levels, shortest, longest)
        if len(rows) == found:
            raise ValueError(
                f"{_TREES} more trees gave no new expression of {shortest} to {longest} symbols, "
                f"and there are {found} of {count}: allow other lengths or depths"
            )
    texts, values = list(rows)[:count], list(rows.values())[:count]
    lengths = np.fromiter(map(len, texts), np.int64, count)
    flat = np.frombuffer(b"".join(texts), np.uint8)
    return Ragged.of_lengths(flat, lengths), np.array(values, np.uint8)


def _grow(
    rng: np.random.Generator, longest: int, max_depth: int, max_arguments: int
) -> list[_Level]:
    """Trees from the root down. A root that is a digit is too short: all roots are operators."""
    trees = np.arange(_TREES)
    symbols = rng.integers(MIN, CLOSE, _TREES)
    sizes = np.zeros(_TREES, np.int64)
    levels = []
    for depth in range(1, max_depth + 1):
        operators = symbols >= MIN
        sizes += np.bincount(trees, 1 + operators, _TREES).astype(np.int64)
        grows = operators & (sizes[trees] <= longest)  # the others are thrown away later
        arguments = np.where(grows, rng.integers(2, max_arguments + 1, len(trees)), 0)
        levels.append(_Level(symbols, trees, arguments))
        trees = np.repeat(trees, arguments)
        symbols = rng.integers(0, 10, len(trees))
        if depth + 1 < max_depth:
            branches = rng.random(len(trees)) < OPERATOR_PROBABILITY
            symbols = np.where(branches, rng.integers(MIN, CLOSE, len(trees)), symbols)
    return levels


def _finish(levels: list[_Level], shortest: int, longest: int) -> dict[bytes, int]:
    """The trees of allowed length, written out, with their values."""
    sizes = np.zeros(_TREES, np.int64)
    for level in levels:
        sizes += np.bincount(level.trees, 1 + (level.symbols >= MIN), _TREES).astype(np.int64)
    allowed = (shortest <= sizes) & (sizes <= longest)
    for level in levels:
        stays = allowed[level.trees]
        level.symbols, level.trees = level.symbols[stays], level.trees[stays]
        level.arguments = level.arguments[stays]
    lengths = sizes[allowed]
    values, spans = _from_below(levels)
    text = _from_above(levels, spans, lengths).tobytes()
    ends = np.cumsum(lengths)
    pieces = (text[end - length : end] for end, length in zip(ends, lengths, strict=True))
    return dict(zip(pieces, values.tolist(), strict=True))


def _from_below(levels: list[_Level]) -> tuple[np.ndarray, list[np.ndarray]]:
    """The value of each root; and, for each level, how many symbols each node's subtree has."""
    values, spans = np.empty(0, np.int64), [np.empty(0, np.int64)]
    for level in reversed(levels):
        operators = level.symbols >= MIN
        own_values, own_spans = level.symbols.copy(), np.ones(len(operators), np.int64)
        if operators.any():
            counts = level.arguments[operators]
            firsts = np.cumsum(counts) - counts
            own_values[operators] = _apply(level.symbols[operators], values, counts, firsts)
            own_spans[operators] = 2 + np.add.reduceat(spans[0], firsts)
        values, spans = own_values, [own_spans, *spans]
    return values, spans[:-1]


def _apply(
    operators: np.ndarray, values: np.ndarray, counts: np.ndarray, firsts: np.ndarray
) -> np.ndarray:
    """Each operator on its neighbouring values; the median is rounded down, the sum is mod 10."""
    groups = 10 * np.repeat(np.arange(len(counts)), counts)
    ordered = np.sort(groups + values) - groups
    middle = ordered[firsts + (counts - 1) // 2] + ordered[firsts + counts // 2]
    smallest, largest = ordered[firsts], ordered[firsts + counts - 1]
    total = np.add.reduceat(values, firsts)
    return np.choose(operators - MIN, [smallest, largest, middle // 2, total % 10])


def _from_above(levels: list[_Level], spans: list[np.ndarray], lengths: np.ndarray) -> np.ndarray:
    """All expressions, symbol by symbol in reading order, one after the other."""
    text = np.empty(int(lengths.sum()), np.uint8)
    places = np.cumsum(lengths) - lengths
    for depth, level in enumerate(levels):
        text[places] = level.symbols
        operators = level.symbols >= MIN
        if not operators.any():
            break
        text[(places + spans[depth] - 1)[operators]] = CLOSE
        counts = level.arguments[operators]
        before = np.cumsum(spans[depth + 1]) - spans[depth + 1]
        within = before - np.repeat(before[np.cumsum(counts) - counts], counts)
        places = np.repeat(places[operators] + 1, counts) + within
    return text
