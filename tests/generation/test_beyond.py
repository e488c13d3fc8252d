"""Beyond the length of their kernels decoders differ, each in the way that it says."""

from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from tests.generation.lms import lm, random_tokens, scores
from tnnlab import CausalLM
from tnnlab.convert.model import convert_model
from tnnlab.generation import generate, make_decoder
from tnnlab.generation.memory import substitute
from tnnlab.operators import ToeplitzOperator
from tnnlab.ops import toeplitz_matmul


def at_length(model: CausalLM, tokens: Tensor, kernels: Any) -> Tensor:
    """The whole model in parallel, with the kernels ``kernels(operator, n)``."""

    class Fixed(nn.Module):
        causal = True

        def __init__(self, operator: ToeplitzOperator) -> None:
            super().__init__()
            self.taps = kernels(operator, tokens.shape[1])

        def forward(self, x: Tensor) -> Tensor:
            return toeplitz_matmul(self.taps, x.mT, causal=True).mT

    def swap(module: nn.Module) -> nn.Module | None:
        return Fixed(module) if isinstance(module, ToeplitzOperator) else None

    with torch.no_grad():
        return cast(CausalLM, substitute(model, swap))(tokens)


def truncated(length: int) -> Any:
    def kernels(operator: ToeplitzOperator, n: int) -> Tensor:
        taps = operator.kernel(length)
        return torch.cat([taps, taps.new_zeros(len(taps), max(0, n - length))], dim=1)[:, :n]

    return kernels


KERNELS = pytest.mark.parametrize(
    ("operator", "mixer"),
    [("tno", "gtu"), ("fd", "s4"), ("rtf", "hyena"), ("s4d", "gtu"), ("hyena", "hyena")],
)


@KERNELS
def test_a_window_cuts_the_kernel_off(operator: str, mixer: str) -> None:
    model, tokens = lm(operator, mixer), random_tokens(2, 60)
    found = scores(make_decoder(model, "window", length=20), tokens, [7] + [1] * 53)
    torch.testing.assert_close(found, at_length(model, tokens, truncated(20))[:, 6:])
    whole = at_length(model, tokens, truncated(60))[:, 6:]
    assert not torch.allclose(found, whole, atol=1e-3)


@KERNELS
def test_etsc_goes_on_damped_and_periodic(operator: str, mixer: str) -> None:
    def kernels(operator: ToeplitzOperator, n: int) -> Tensor:
        rate = operator.envelope()[:, None]
        once = operator.kernel(20) / rate ** torch.arange(20)
        return once.repeat(1, 3)[:, :n] * rate ** torch.arange(n)

    model, tokens = lm(operator, mixer), random_tokens(2, 60)
    decoder = make_decoder(model, "etsc", length=20)
    found = scores(decoder, tokens, [7] + [1] * 53)
    torch.testing.assert_close(found, at_length(model, tokens, kernels)[:, 6:])
    torch.testing.assert_close(scores(decoder, tokens, [50] + [1] * 10), found[:, 43:])
    torch.testing.assert_close(scores(decoder, tokens, [7, 51, 2]), found[:, [0, 51, 53]])


@KERNELS
@pytest.mark.parametrize("options", [{"order": 5}, {"tolerance": 0.2}], ids=str)
def test_reduced_is_the_model_with_reduced_kernels(
    operator: str, mixer: str, options: dict[str, Any]
) -> None:
    model, tokens = lm(operator, mixer), random_tokens(2, 60)
    converted = convert_model(model, "reduced", length=20, **options)
    with torch.no_grad():
        expected = converted(tokens)
    decoder = make_decoder(model, "reduced", length=20, **options)
    found = scores(decoder, tokens, [7] + [1] * 53)
    torch.testing.assert_close(found, expected[:, 6:], atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(("operator", "mixer"), [("tno", "gtu"), ("s4d", "s4"), ("hyena", "gtu")])
def test_online_has_no_end(operator: str, mixer: str) -> None:
    model, tokens = lm(operator, mixer), random_tokens(1, 140)
    with torch.no_grad():
        expected = model(tokens)[:, 6:]
    for length in (1, 20, 500):
        found = scores(make_decoder(model, "online", length=length), tokens, [7] + [1] * 133)
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("operator", "decoder", "message"),
    [
        ("fd", "online", "the kernel of FDTNO depends on the length"),
        ("rtf", "online", "the kernel of RTF depends on the length"),
        ("fd", "full", "the kernel of FDTNO depends on the length"),
        ("attention", "window", "the cache of keys and values has 8 places, and 9 are needed"),
    ],
)
def test_what_ends_says_so(operator: str, decoder: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        generate(lm(operator), [[1, 2, 3]], max_new_tokens=20, decoder=decoder, length=8)
    generate(lm(operator), [[1, 2, 3]], max_new_tokens=6, decoder=decoder, length=8)
