import pytest
import torch
from torch import Tensor, nn

from tnnlab import CausalLM, TNNConfig
from tnnlab.generation import sample

CONFIG = TNNConfig(vocab_size=11, depth=1, width=8, glu_width=8, rpe_width=8, rpe_depth=1)


@pytest.fixture
def model() -> CausalLM:
    torch.manual_seed(0)
    return CausalLM(CONFIG)


PROMPT = torch.tensor([[1, 2, 3], [4, 5, 6]])


def test_without_temperature_each_token_is_the_most_likely_one(model: CausalLM) -> None:
    drawn = sample(model, PROMPT, max_new_tokens=5, temperature=0)
    assert drawn.shape == (2, 8) and drawn[:, :3].equal(PROMPT)
    model.eval()
    for n in range(3, 8):
        assert model(drawn[:, :n])[:, -1].argmax(-1).equal(drawn[:, n])
    assert sample(model, PROMPT, max_new_tokens=5, top_k=1, seed=3).equal(drawn)


def test_a_seed_repeats_and_leaves_other_random_numbers_alone(model: CausalLM) -> None:
    before = torch.get_rng_state()
    one, two, three = (sample(model, PROMPT, max_new_tokens=20, seed=s) for s in (1, 1, 2))
    assert one.equal(two) and not one.equal(three)
    assert torch.get_rng_state().equal(before)
    many = {tuple(sample(model, PROMPT, max_new_tokens=20)[0].tolist()) for _ in range(3)}
    assert len(many) == 3


@pytest.mark.parametrize("training", [True, False])
def test_dropout_is_off_and_the_mode_comes_back(model: CausalLM, training: bool) -> None:
    model.train(training)
    assert sample(model, PROMPT, max_new_tokens=9, temperature=0).equal(
        sample(model, PROMPT, max_new_tokens=9, temperature=0)
    )
    assert model.training is training


class Fixed(nn.Module):
    """The same scores everywhere."""

    def __init__(self, *scores: float) -> None:
        super().__init__()
        self.scores = torch.tensor(scores)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.scores.expand(*tokens.shape, -1)


def test_tokens_are_drawn_with_their_probabilities() -> None:
    # softmax((0, log 9) / 2) = (1/4, 3/4)
    model = Fixed(0.0, float(torch.tensor(9.0).log()), -1e9)
    tokens = sample(model, PROMPT[:1], max_new_tokens=4000, temperature=2.0, seed=0)[0, 3:]
    assert (tokens == 1).float().mean().item() == pytest.approx(0.75, abs=0.03)
    assert tokens.max() == 1


def test_top_k_keeps_the_most_likely_tokens() -> None:
    model = Fixed(0.0, 0.3, 0.2, 0.1)
    drawn = sample(model, PROMPT[:1], max_new_tokens=300, top_k=2, seed=0)[0, 3:]
    assert set(drawn.tolist()) == {1, 2}
    drawn = sample(model, PROMPT[:1], max_new_tokens=300, top_k=100, seed=0)[0, 3:]
    assert set(drawn.tolist()) == {0, 1, 2, 3}


@pytest.mark.parametrize(
    "faulty",
    [
        {"tokens": torch.zeros(1, 0, dtype=torch.long)},
        {"tokens": torch.zeros(3, dtype=torch.long)},
        {"tokens": torch.zeros(1, 3)},
        {"max_new_tokens": -1},
        {"temperature": -0.1},
        {"top_k": 0},
    ],
    ids=str,
)
def test_faulty_input_is_named(model: CausalLM, faulty: dict[str, object]) -> None:
    arguments = {"tokens": PROMPT, "max_new_tokens": 1, **faulty}
    with pytest.raises(ValueError, match=r"at least 0|\(batch, n\)"):
        sample(model, **arguments)  # pyright: ignore[reportArgumentType]
