"""Drawing a token, against the definition of what is drawn from."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tnnlab.generation import Sampler


def reference(
    logits: list[float], temperature: float, top_k: int | None, top_p: float | None
) -> list[float]:
    """By sorting: the k first, then the fewest of them that have probability p."""
    order = sorted(range(len(logits)), key=lambda token: -logits[token])[:top_k]
    weights = {token: math.exp((logits[token] - logits[order[0]]) / temperature) for token in order}
    total, sum_so_far, kept = sum(weights.values()), 0.0, []
    for token in order:
        kept.append(token)
        sum_so_far += weights[token] / total
        if top_p is not None and sum_so_far >= top_p:
            break
    total = sum(weights[token] for token in kept)
    return [weights[token] / total if token in kept else 0.0 for token in range(len(logits))]


@settings(max_examples=200, derandomize=True)
@given(
    # Apart, so that no two tokens are equally likely.
    logits=st.lists(st.integers(-20, 20), min_size=1, max_size=12, unique=True),
    temperature=st.floats(0.2, 3.0),
    top_k=st.none() | st.integers(1, 15),
    top_p=st.none() | st.floats(0.01, 0.99),
)
def test_probabilities_are_those_of_the_definition(
    logits: list[int], temperature: float, top_k: int | None, top_p: float | None
) -> None:
    values = [value / 4 for value in logits]
    sampler = Sampler(temperature, top_k, top_p)
    found = sampler.probabilities(torch.tensor([values], dtype=torch.float64))
    expected = torch.tensor([reference(values, temperature, top_k, top_p)], dtype=torch.float64)
    torch.testing.assert_close(found, expected)


def test_rows_are_filtered_each_by_itself() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0], [9.0, 0.0, 8.9]])
    for options in ({"top_k": 2}, {"top_p": 0.7}, {"top_k": 2, "top_p": 0.5}):
        sampler = Sampler(**options)  # type: ignore[arg-type]
        each = torch.cat([sampler.probabilities(row[None]) for row in logits])
        torch.testing.assert_close(sampler.probabilities(logits), each)


def test_all_of_the_probability_is_no_filter() -> None:
    logits = torch.randn(5, 30, generator=torch.Generator().manual_seed(0))
    plain = Sampler().probabilities(logits)
    torch.testing.assert_close(Sampler(top_p=1.0, top_k=99).probabilities(logits), plain)


def test_tokens_are_drawn_with_their_probabilities() -> None:
    # softmax((0, log 9) / 2) = (1/4, 3/4)
    logits = torch.tensor([0.0, math.log(9), -1e9]).expand(20000, 3)
    sampler = Sampler(temperature=2.0, generator=torch.Generator().manual_seed(0))
    tokens = sampler(logits)
    assert tokens.shape == (20000,) and tokens.dtype == torch.long
    assert (tokens == 1).double().mean().item() == pytest.approx(0.75, abs=0.02)
    assert tokens.max() == 1


def test_what_is_filtered_out_is_never_drawn() -> None:
    logits = torch.tensor([0.0, 0.3, 0.2, 0.1]).expand(2000, 4)
    generator = torch.Generator().manual_seed(0)
    assert set(Sampler(top_k=2, generator=generator)(logits).tolist()) == {1, 2}
    assert set(Sampler(top_p=0.3, generator=generator)(logits).tolist()) == {1, 2}
    assert set(Sampler(generator=generator)(logits).tolist()) == {0, 1, 2, 3}


def test_without_temperature_the_most_likely() -> None:
    logits = torch.randn(50, 7, generator=torch.Generator().manual_seed(0))
    assert Sampler(temperature=0)(logits).equal(logits.argmax(-1))
    assert Sampler(top_k=1)(logits).equal(logits.argmax(-1))


def test_half_precision_scores() -> None:
    logits = torch.tensor([[4.0, 2.0, 1.0]], dtype=torch.bfloat16)
    found = Sampler(temperature=0.7).probabilities(logits)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, torch.softmax(logits.float() / 0.7, -1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -0.1}, "temperature is at least 0; got -0.1"),
        ({"top_k": 0}, "top_k is at least 1, or None; got 0"),
        ({"top_p": 0.0}, r"top_p lies in \(0, 1\], or is None; got 0.0"),
        ({"top_p": 1.5}, "got 1.5"),
    ],
)
def test_numbers_out_of_range_are_named(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Sampler(**options)  # type: ignore[arg-type]
