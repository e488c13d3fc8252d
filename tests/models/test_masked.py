import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.models.shapes import EACH, small
from tnnlab.models import MaskedLM, TNNConfig, mask_tokens, masked_loss
from tnnlab.models.masking import chosen_places

MASK, SPECIALS, VOCAB = 3, (0, 1), 20


def hide(tokens: Tensor, seed: int = 0, **options: float) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return mask_tokens(
        tokens,
        mask_token=MASK,
        vocab_size=VOCAB,
        special_tokens=SPECIALS,
        generator=generator,
        **options,
    )


def test_what_is_hidden_follows_the_recipe() -> None:
    tokens = torch.randint(VOCAB, (400, 500), generator=torch.Generator().manual_seed(1))
    inputs, targets = hide(tokens)
    special = (tokens == 0) | (tokens == 1) | (tokens == MASK)
    chosen = targets != -100
    assert not chosen[special].any()
    assert torch.equal(inputs[~chosen], tokens[~chosen])
    assert torch.equal(targets[chosen], tokens[chosen])
    count = (~special).sum().item()
    assert chosen.sum().item() == pytest.approx(0.15 * count, abs=6 * math.sqrt(0.13 * count))

    masked = inputs[chosen] == MASK
    kept = inputs[chosen] == tokens[chosen]
    count = chosen.sum().item()
    # A random token is the hidden one itself once in the 17 ordinary ones.
    for share, expected in ((masked, 0.8), (kept, 0.1 + 0.1 / 17)):
        spread = 6 * math.sqrt(expected * (1 - expected) / count)
        assert share.double().mean().item() == pytest.approx(expected, abs=spread)
    drawn = inputs[chosen][~masked & ~kept]
    assert set(drawn.tolist()) == set(range(VOCAB)) - {0, 1, MASK}


def test_a_seed_decides_what_is_hidden_and_nothing_is_changed_in_place() -> None:
    tokens = torch.randint(4, VOCAB, (3, 50))
    before = tokens.clone()
    first, second, other = hide(tokens), hide(tokens), hide(tokens, seed=5)
    assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])
    assert not torch.equal(first[1], other[1])
    assert torch.equal(tokens, before)


def test_none_or_all() -> None:
    tokens = torch.randint(4, VOCAB, (3, 50))
    inputs, targets = hide(tokens, probability=0.0)
    assert torch.equal(inputs, tokens) and (targets == -100).all()
    assert torch.equal(hide(tokens, probability=1.0)[1], tokens)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"probability": 1.5}, r"probability lies in \[0, 1\]; got 1.5"),
        ({"mask_token": 20}, r"some of 0 … 19, not all; got \[20\]"),
        ({"special_tokens": (-1,)}, r"got \[-1, 3\]"),
        ({"special_tokens": range(20)}, "not all"),
    ],
)
def test_bad_options_are_named(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mask_tokens(torch.zeros(2, 2).long(), **{"mask_token": 3, "vocab_size": VOCAB} | options)


def test_the_loss_counts_chosen_tokens_only() -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 5, VOCAB, requires_grad=True)
    targets = torch.full((2, 5), -100)
    targets[0, 1], targets[1, 4] = 7, 2
    loss = masked_loss(logits, targets)
    log = logits.log_softmax(-1)
    torch.testing.assert_close(loss, -(log[0, 1, 7] + log[1, 4, 2]) / 2)
    (grad,) = torch.autograd.grad(loss, logits)
    assert ((grad != 0).any(-1) == (targets != -100)).all()
    nothing = masked_loss(logits, torch.full((2, 5), -100))
    assert nothing.item() == 0


@EACH
def test_it_sees_both_sides(operator: str, mixer: str) -> None:
    torch.manual_seed(0)
    model = MaskedLM(TNNConfig(**small(operator, mixer))).eval()
    before = torch.randint(VOCAB, (1, 30), generator=torch.Generator().manual_seed(0))
    for place in (0, 29):
        after = before.clone()
        after[:, place] = (after[:, place] + 1) % VOCAB
        assert not torch.allclose(model(before)[:, 15], model(after)[:, 15], rtol=0, atol=1e-7)


def test_the_head_is_robertas() -> None:
    torch.manual_seed(0)
    model = MaskedLM(TNNConfig(**small("tno"))).eval()
    tokens = torch.randint(VOCAB, (2, 9))
    x = F.gelu(model.features(tokens) @ model.dense.weight.T + model.dense.bias)
    x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    expected = x @ model.embedding.weight.T + model.bias
    torch.testing.assert_close(model(tokens), expected)


def test_scores_at_some_places_are_those_of_all() -> None:
    torch.manual_seed(0)
    model = MaskedLM(TNNConfig(**small("tno"))).double().eval()
    tokens = torch.randint(VOCAB, (3, 11))
    places = torch.tensor([0, 10, 11, 32, 0])
    some, everywhere = model(tokens, places=places), model(tokens).flatten(0, 1)[places]
    assert some.shape == (5, VOCAB)
    torch.testing.assert_close(some, everywhere)
    weights = torch.randn_like(some)
    gradients = [
        torch.autograd.grad((scores * weights).sum(), list(model.parameters()))
        for scores in (some, everywhere)
    ]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("shape", [(4, 64), (3, 5), (1, 1)])
def test_places_are_those_of_the_targets(shape: tuple[int, int]) -> None:
    _, targets = hide(torch.randint(4, VOCAB, shape))
    places, chosen = chosen_places(targets)
    real = chosen != -100
    assert torch.equal(places[real], (targets.flatten() != -100).nonzero().squeeze(1))
    assert torch.equal(targets.flatten()[places[real]], chosen[real])
    assert (places[~real] == 0).all() and len(places) % max(1, targets.numel() // 16) == 0
    assert (~real).sum() < max(1, targets.numel() // 16)


def test_batches_have_as_many_places_though_not_as_many_gaps() -> None:
    drawn = [hide(torch.randint(4, VOCAB, (64, 64)), seed=seed)[1] for seed in range(20)]
    assert len({int((targets != -100).sum()) for targets in drawn}) > 10
    assert len({len(chosen_places(targets)[0]) for targets in drawn}) == 1


def test_no_gaps_have_no_places() -> None:
    places, chosen = chosen_places(torch.full((2, 40), -100))
    assert places.shape == chosen.shape == (0,)
    model = MaskedLM(TNNConfig(**small("tno")))
    loss = masked_loss(model(torch.zeros(2, 40).long(), places=places), chosen)
    loss.backward()
    assert loss.item() == 0


def test_it_learns_to_fill_gaps() -> None:
    """Each text repeats two tokens: the neighbours say what is hidden."""
    torch.manual_seed(0)
    model = MaskedLM(TNNConfig(**small("tno", width=16, glu_width=16)))
    optimizer = torch.optim.AdamW(model.parameter_groups(0.0), lr=1e-2)
    losses = []
    for step in range(60):
        texts = torch.randint(4, VOCAB, (16, 2)).repeat(1, 12)
        inputs, targets = hide(texts, seed=step)
        loss = masked_loss(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < 0.6 * sum(losses[:5])


def test_saving_and_loading_give_the_same_model(tmp_path: Path) -> None:
    model = MaskedLM(TNNConfig(**small("fd"), norm="batch"))
    tokens = torch.randint(VOCAB, (2, 9))
    model(tokens)  # moves the running averages, which are saved too
    model.eval().save_pretrained(tmp_path)
    assert torch.equal(MaskedLM.from_pretrained(tmp_path)(tokens), model(tokens))
