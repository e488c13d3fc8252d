"""Published weights against plain restatements of the formulas they were trained with."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.contract import BOTH
from tnnlab.interop import from_reference

State = dict[str, Tensor]


def linear(state: State, name: str, out: int, inside: int) -> None:
    state[f"{name}.weight"] = torch.randn(out, inside) / inside**0.5
    state[f"{name}.bias"] = 0.1 * torch.randn(out)


def rpe_state(prefix: str, width: int, depth: int, outputs: int) -> State:
    state: State = {}
    linear(state, f"{prefix}rpe.pos_proj", width, 1)
    for i in range(depth):
        linear(state, f"{prefix}rpe.layers.{i}.2", width, width)
    linear(state, f"{prefix}rpe.out.2", outputs, width)
    return state


def tno_state(channels: int, prefix: str = "", depth: int = 2) -> State:
    gamma = {f"{prefix}gamma": torch.full((1, 1, channels), 0.95)}
    return gamma | rpe_state(prefix, 8, depth, channels)


def block_state(width: int = 6, inner: int = 9, glu: int = 10) -> State:
    state: State = {}
    linear(state, "token_mixer.u_proj", inner, width)
    linear(state, "token_mixer.v_proj", inner, width)
    linear(state, "token_mixer.o", width, inner)
    linear(state, "feature_mixer.l1", glu, width)
    linear(state, "feature_mixer.l2", glu, width)
    linear(state, "feature_mixer.l3", width, glu)
    return state | tno_state(inner, "token_mixer.toep.")


def rtf_state(channels: int, denominators: int, order: int, causal: bool) -> State:
    systems = 1 if causal else 2
    ab = torch.randn(systems * (denominators + channels), order) / order / 2
    return {"ab": ab, "h_0": torch.randn(systems * channels)}


def affine(state: State, name: str, x: Tensor) -> Tensor:
    return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def rms(x: Tensor) -> Tensor:
    return x / (x.norm(dim=-1, keepdim=True) / x.shape[-1] ** 0.5 + 1e-8)


def rpe(state: State, prefix: str, positions: Tensor) -> Tensor:
    x = affine(state, f"{prefix}rpe.pos_proj", positions[:, None])
    depth = sum(".layers." in name for name in state) // 2
    for i in range(depth):
        x = affine(state, f"{prefix}rpe.layers.{i}.2", F.relu(rms(x)))
    return affine(state, f"{prefix}rpe.out.2", F.relu(rms(x)))


def tno(state: State, x: Tensor, causal: bool, prefix: str = "") -> Tensor:
    n = x.shape[1]
    lags = torch.arange(1 - n, n).float()
    taps = rpe(state, prefix, lags) * state[f"{prefix}gamma"][0, 0] ** lags.abs()[:, None]
    if causal:
        taps = taps * (lags >= 0)[:, None]
    index = torch.arange(n)[:, None] - torch.arange(n)[None, :] + n - 1
    return torch.einsum("ijc,bjc->bic", taps[index], x)


def fd(state: State, x: Tensor, causal: bool) -> Tensor:
    n, channels = x.shape[1:]
    size = 2 ** math.ceil(math.log2(2 * n))
    values = rpe(state, "", torch.linspace(0, math.pi, size // 2 + 1))
    if causal:
        even = torch.fft.irfft(values, n=size, dim=0)
        window = torch.zeros(size, 1)
        window[0], window[1 : size // 2 + 1] = 1, 2
        spectrum = torch.fft.rfft(even * window, dim=0)
    else:
        imaginary = values[:, channels:].clone()
        imaginary[0] = imaginary[-1] = 0
        spectrum = torch.complex(values[:, :channels], imaginary)
    product = spectrum * torch.fft.rfft(x, n=size, dim=1)
    return torch.fft.irfft(product, n=size, dim=1)[:, :n]


def block(state: State, x: Tensor, causal: bool) -> Tensor:
    h = rms(x)
    u, v = (F.silu(affine(state, f"token_mixer.{name}_proj", h)) for name in "uv")
    mixed = u * tno(state, v, causal, "token_mixer.toep.")
    x = x + affine(state, "token_mixer.o", mixed)
    h = rms(x)
    gate = F.silu(affine(state, "feature_mixer.l1", h))
    return x + affine(state, "feature_mixer.l3", gate * affine(state, "feature_mixer.l2", h))


def rtf(state: State, x: Tensor, causal: bool, length: int) -> Tensor:
    ab, h0 = state["ab"], state["h_0"]
    rows, n, channels = len(ab) - len(h0), *x.shape[1:]
    points = length + length % 2
    z = torch.exp(-2j * math.pi * torch.arange(points) / points)
    powers = z[:, None] ** torch.arange(1, ab.shape[1] + 1)
    fraction = (powers @ ab[rows:].T.to(z.dtype)) / (
        1 + powers @ ab[:rows].T.to(z.dtype)
    ).repeat_interleave(len(h0) // rows, dim=1)
    taps = torch.fft.ifft(fraction + h0, dim=0).real[:n]
    y = torch.zeros_like(x)
    for lag in range(n):
        y[:, lag:] += taps[lag, :channels] * x[:, : n - lag]
        if not causal and lag < n - 1:
            y[:, : n - lag - 1] += taps[lag, channels:] * x[:, lag + 1 :]
    return y


def check(module, state: State, reference, x: Tensor) -> None:
    """Outputs and gradients (input and every weight) agree to 1e-5."""
    x = x.requires_grad_()
    leaves = {k: v.clone().requires_grad_() for k, v in state.items() if not k.endswith("gamma")}
    expected = reference(state | leaves, x)
    y = module(x)
    torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-5)
    grad = torch.randn_like(y)
    wanted = torch.autograd.grad(expected, [x, *leaves.values()], grad)
    parameters = list(module.parameters())
    found = torch.autograd.grad(y, [x, *parameters], grad)
    torch.testing.assert_close(found[0], wanted[0], rtol=1e-5, atol=1e-5)
    norm = sum(g.double().square().sum() for g in found[1:])
    assert norm.sqrt().item() == pytest.approx(
        sum(g.double().square().sum() for g in wanted[1:]).sqrt().item(), rel=1e-5
    )
    by_shape = sorted(found[1:], key=lambda g: (tuple(g.shape), g.sum().item()))
    for value, target in zip(
        by_shape, sorted(wanted[1:], key=lambda g: (tuple(g.shape), g.sum().item())), strict=True
    ):
        assert (value - target).norm() <= 1e-5 * target.norm() + 1e-5


@BOTH
@pytest.mark.parametrize("n", [1, 7, 150])
def test_tno(n: int, causal: bool) -> None:
    torch.manual_seed(n)
    state = tno_state(5)
    module = from_reference("tno", state, causal=causal)
    check(module, state, lambda s, x: tno(s, x, causal), torch.randn(2, n, 5))


def test_tno_with_a_decay_for_each_channel() -> None:
    torch.manual_seed(0)
    state = tno_state(5)
    state["gamma"] = torch.linspace(0.5, 1, 5).reshape(1, 1, 5)
    module = from_reference("tno", state, causal=True)
    check(module, state, lambda s, x: tno(s, x, True), torch.randn(2, 20, 5))


@BOTH
@pytest.mark.parametrize("n", [1, 7, 150])
def test_fd(n: int, causal: bool) -> None:
    torch.manual_seed(n)
    state = rpe_state("", 8, 3, 5 if causal else 10)
    module = from_reference("fd", state, causal=causal)
    check(module, state, lambda s, x: fd(s, x, causal), torch.randn(2, n, 5))


@BOTH
def test_block(causal: bool) -> None:
    torch.manual_seed(0)
    state = block_state()
    module = from_reference("block", state, causal=causal)
    check(module, state, lambda s, x: block(s, x, causal), torch.randn(2, 33, 6))


@BOTH
@pytest.mark.parametrize(("n", "length"), [(9, 9), (16, 40), (30, None), (31, 31)])
def test_rtf(n: int, length: int | None, causal: bool) -> None:
    torch.manual_seed(0)
    state = rtf_state(6, 3, 4, causal)
    module = from_reference("rtf", state, causal=causal, length=length)
    x = torch.randn(2, n, 6).requires_grad_()
    expected = rtf(state, x, causal, length or n)
    y = module(x)
    torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-5)
    grad = torch.randn_like(y)
    (found,), (wanted,) = (torch.autograd.grad(out, [x], grad) for out in (y, expected))
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    leaves = {name: value.clone().requires_grad_() for name, value in state.items()}
    grads = torch.autograd.grad(rtf(leaves, x, causal, length or n), list(leaves.values()), grad)
    module(x).backward(grad)
    torch.testing.assert_close(
        torch.cat([module.a.grad, module.b.grad]), grads[0], rtol=1e-4, atol=1e-4
    )
    torch.testing.assert_close(module.h0.grad, grads[1], rtol=1e-4, atol=1e-4)


def without(state: State, name: str) -> State:
    return {key: value for key, value in state.items() if key != name}


@pytest.mark.parametrize(
    ("kind", "state", "message"),
    [
        ("s4", {}, "kind is one of 'tno', 'fd', 'block', 'rtf'; got 's4'"),
        ("tno", without(tno_state(4), "gamma"), r"missing \['gamma'\], unexpected \[\]"),
        ("tno", without(tno_state(4), "rpe.layers.0.2.bias"), r"missing \['rpe.layers.0.2.bias'\]"),
        ("fd", tno_state(4), r"missing \[\], unexpected \['gamma'\]"),
        (
            "tno",
            tno_state(4) | {"gamma": torch.ones(1, 1, 3)},
            r"gamma has shape \(1, 1, 3\), expected \(1, 1, 4\)",
        ),
        (
            "tno",
            tno_state(4) | {"rpe.layers.1.2.weight": torch.ones(8, 9)},
            r"rpe.layers.1.2.weight has shape \(8, 9\), expected \(8, 8\)",
        ),
        (
            "block",
            block_state() | {"feature_mixer.l2.bias": torch.ones(3)},
            r"feature_mixer.l2.bias has shape \(3,\), expected \(10,\)",
        ),
        (
            "block",
            without(block_state(), "token_mixer.o.bias"),
            r"missing \['token_mixer.o.bias'\]",
        ),
        ("rtf", {"ab": torch.ones(4, 2)}, r"missing \['h_0'\]"),
        ("rtf", {"ab": torch.ones(3, 2), "h_0": torch.ones(4)}, r"ab has shape \(3, 2\)"),
    ],
)
def test_what_does_not_fit_is_listed(kind: str, state: State, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_reference(kind, state, causal=True)


def test_an_odd_bidirectional_spectrum_is_refused() -> None:
    with pytest.raises(ValueError, match="even number of outputs"):
        from_reference("fd", rpe_state("", 8, 1, 5), causal=False)
