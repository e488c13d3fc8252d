"""Small language models whose next token depends on all earlier ones."""

import functools
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.models.shapes import MIXED, OPERATORS, small
from tnnlab.generation import Decoder
from tnnlab.models import CausalLM, TNNConfig

CASES: list[tuple[str, str]] = [(operator, mixer) for operator, mixer in MIXED if operator != "ski"]
# Of rotary attention, which is among them, positions are an option.
POSITIONS: dict[str, dict[str, Any]] = {
    "attention without positions": {"operator_options": {"heads": 2, "positions": "none"}},
    "attention with alibi": {"operator_options": {"heads": 2, "positions": "alibi"}},
    "attention with learned positions": {
        "operator_options": {"heads": 2, "positions": "none"},
        "learned_positions": 100,
    },
}
CASES += [(name, "gtu") for name in POSITIONS]
EACH = pytest.mark.parametrize(("operator", "mixer"), CASES)
# Every operator once, and every mixer.
FEW = pytest.mark.parametrize(
    ("operator", "mixer"),
    [
        ("tno", "gtu"),
        ("fd", "gtu"),
        ("rtf", "s4"),
        ("s4d", "hyena"),
        ("hyena", "hyena"),
        ("attention", "gtu"),
        *[(name, "gtu") for name in POSITIONS],
    ],
)


@functools.cache
def lm(operator: str, mixer: str = "gtu", dtype: torch.dtype = torch.float64) -> CausalLM:
    """Weights that are far from those of a fresh model, which hardly mixes positions."""
    torch.manual_seed(0)
    options: dict[str, Any] = {}
    if operator in POSITIONS:
        operator, options = "attention", POSITIONS[operator]
    config = {**small(operator, mixer), **options}
    if operator == "tno":
        config["decay"] = 0.95
    if operator == "fd":
        config["operator_options"] = {"points": 24}
    model = CausalLM(TNNConfig(**config))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if ".operator." not in name and name not in ("embedding.weight", "positions.weight"):
                std = 2 * weight.shape[-1] ** -0.5 if weight.ndim > 1 else 0.6
                torch.nn.init.normal_(weight, std=std)
            if name.endswith("operator.a"):  # poles at 0.95 and ±0.9i, in place of short memories
                weight.copy_(torch.tensor([-0.95, 0.81, -0.7695, 0.0]))
    return model.to(dtype).eval()


def decoders(operator: str) -> list[str]:
    """Those that are exact."""
    known = ["full", "window", "online"]
    return known if operator.startswith("attention") else [*known, "etsc"]


def random_tokens(batch: int, n: int, seed: int = 0) -> Tensor:
    return torch.randint(20, (batch, n), generator=torch.Generator().manual_seed(seed))


def scores(decoder: Decoder, tokens: Tensor, pieces: list[int]) -> Tensor:
    """The decoder's scores after each piece: ``(batch, pieces, vocab)``."""
    decoder.start(len(tokens))
    return torch.stack([decoder(part) for part in tokens.split(pieces, dim=1)], dim=1)


assert set(OPERATORS) - {"ski"} == {operator for operator, _ in CASES} - {*POSITIONS}
