"""From prompts to continuations: stops, seeds, streams, and what is refused."""

from typing import Any

import pytest
import torch

from tests.generation.lms import decoders, lm, random_tokens
from tnnlab.generation import generate, make_decoder, sample, stream

PROMPTS = [[1, 2, 3], [4, 5], [6]]


def test_a_stream_yields_what_generate_collects() -> None:
    model = lm("tno", "hyena")
    options: dict[str, Any] = {"max_new_tokens": 9, "temperature": 0.9, "seed": 1}
    steps = list(stream(model, PROMPTS, **options))
    assert len(steps) == 9 and all(len(step) == 3 for step in steps)
    columns = [[step[row] for step in steps] for row in range(3)]
    assert generate(model, PROMPTS, **options) == columns
    assert model.generate(PROMPTS, **options) == columns


def test_nothing_is_computed_before_it_is_asked_for() -> None:
    tokens = stream(lm("tno"), PROMPTS, max_new_tokens=10**9, temperature=0, length=8)
    first = [next(tokens) for _ in range(3)]
    assert first == [list(step) for step in zip(*lm("tno").generate(
        PROMPTS, max_new_tokens=3, temperature=0, length=8), strict=True)]  # fmt: skip


def test_a_seed_repeats_and_leaves_other_random_numbers_alone() -> None:
    model = lm("tno")
    before = torch.get_rng_state()
    one, two, three = (generate(model, PROMPTS, max_new_tokens=20, seed=seed) for seed in (1, 1, 2))
    assert one == two and one != three
    assert torch.get_rng_state().equal(before)
    many = {tuple(generate(model, PROMPTS[:1], max_new_tokens=20)[0]) for _ in range(3)}
    assert len(many) == 3


def test_a_seed_draws_the_same_by_every_decoder() -> None:
    model = lm("hyena", "hyena")
    texts = [
        generate(model, PROMPTS, max_new_tokens=25, seed=3, top_p=0.9, decoder=name)
        for name in decoders("hyena")
    ]
    assert all(text == texts[0] for text in texts)


def test_a_stop_token_ends_its_row() -> None:
    model = lm("tno", "hyena")
    options: dict[str, Any] = {"max_new_tokens": 30, "temperature": 0}
    free = generate(model, PROMPTS, **options)
    stop = free[0][4]
    expected = [row[: row.index(stop) + 1] if stop in row else row for row in free]
    assert len({len(row) for row in expected}) > 1
    assert generate(model, PROMPTS, stop_tokens=[stop], **options) == expected
    steps = list(stream(model, PROMPTS[:1], stop_tokens=[stop], **options))
    assert len(steps) == len(expected[0])


def test_rows_that_have_ended_yield_none() -> None:
    model = lm("tno", "hyena")
    free = generate(model, PROMPTS, max_new_tokens=12, temperature=0)
    stop = free[0][0]
    steps = list(stream(model, PROMPTS, max_new_tokens=12, temperature=0, stop_tokens=[stop]))
    assert steps[0][0] == stop and all(step[0] is None for step in steps[1:])


def test_prompts_are_lists_or_a_tensor() -> None:
    model, tokens = lm("tno"), random_tokens(2, 5)
    options: dict[str, Any] = {"max_new_tokens": 6, "temperature": 0}
    expected = generate(model, tokens, **options)
    assert generate(model, tokens.tolist(), **options) == expected
    assert generate(model, list(tokens), **options) == expected
    assert generate(model, tokens.int(), **options) == expected


def test_a_decoder_made_before_is_used_again() -> None:
    model = lm("s4d")
    decoder = make_decoder(model, "etsc", length=30)
    for prompts in (PROMPTS, PROMPTS[:1], PROMPTS):
        expected = generate(model, prompts, max_new_tokens=9, temperature=0)
        found = generate(model, prompts, max_new_tokens=9, temperature=0, decoder=decoder)
        assert found == expected


def test_no_prompts_no_tokens() -> None:
    model = lm("tno")
    assert generate(model, [], max_new_tokens=5) == []
    assert generate(model, PROMPTS, max_new_tokens=0) == [[], [], []]
    assert sample(model, random_tokens(2, 3), max_new_tokens=0).equal(random_tokens(2, 3))
    assert sample(model, random_tokens(0, 3), max_new_tokens=4).shape == (0, 7)


@pytest.mark.parametrize(
    ("faulty", "message"),
    [
        ({"prompts": [[1], []]}, r"at least one token: begin .* got one of shape \(0,\)"),
        ({"prompts": torch.zeros(3, dtype=torch.long)}, r"integers of shape \(batch, n\)"),
        ({"prompts": torch.zeros(1, 3)}, r"got torch.float32 of shape \(1, 3\)"),
        ({"prompts": torch.zeros(1, 0, dtype=torch.long)}, "at least one token"),
        ({"prompts": [[1, 20]]}, "tokens of this model are 0 … 19; a prompt has 1 … 20"),
        ({"prompts": [[-1]]}, "a prompt has -1 … -1"),
        ({"max_new_tokens": -1}, "max_new_tokens is at least 0; got -1"),
        ({"temperature": -0.1}, "temperature is at least 0"),
        ({"top_k": 0}, "top_k is at least 1"),
        ({"top_p": 0}, "top_p lies in"),
        ({"decoder": "cache"}, "no decoder 'cache'"),
        ({"tolerance": 0.1}, "for the decoder 'reduced', not for 'window'"),
        (
            {"decoder": make_decoder(lm("tno"), "window", length=9), "length": 9},
            "of a decoder that",
        ),
    ],
    ids=str,
)
def test_faulty_input_is_named(faulty: dict[str, Any], message: str) -> None:
    arguments = {"prompts": PROMPTS, "max_new_tokens": 1, **faulty}
    with pytest.raises(ValueError, match=message):  # at once, not with the first token
        stream(lm("tno"), **arguments)
