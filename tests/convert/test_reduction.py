import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tnnlab import TNO
from tnnlab.convert import choose_order, hankel_values, reduce, reduction


def kernels(kind: str, n: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    lags = torch.arange(n, dtype=torch.float64)
    if kind == "random":
        return torch.randn(2, n, generator=generator, dtype=torch.float64)
    if kind == "decaying":
        return torch.randn(2, n, generator=generator, dtype=torch.float64) * 0.8**lags
    if kind == "delay":  # all singular values are equal: the hardest to reduce
        return torch.stack([lags == n - 1, lags == n // 2]).double()
    if kind == "alternating":
        return torch.stack([(-1.0) ** lags, torch.cos(lags)])
    torch.manual_seed(seed)
    return TNO(2, causal=True, rpe_depth=1, rpe_width=16).kernel(n).detach().double()


@settings(max_examples=60, derandomize=True)
@given(
    kind=st.sampled_from(["random", "decaying", "delay", "alternating", "tno"]),
    n=st.integers(2, 60),
    seed=st.integers(0, 9),
    data=st.data(),
)
def test_the_bound_holds(kind: str, n: int, seed: int, data: st.DataObject) -> None:
    order = data.draw(st.integers(1, n - 1))
    taps = kernels(kind, n, seed)
    system = reduce(taps, order=order)
    rounding = 1e-9 * (1 + system.hankel_values[:, 0])
    assert (system.peak_error <= system.bound + rounding).all()
    # No system with h states does better than σ_{h+1}; the grid of frequencies may miss a bit.
    if order < n - 1:
        assert (system.peak_error >= 0.9 * system.hankel_values[:, order] - rounding).all()
    assert system.poles().abs().max() < 1
    # An error is at least its mean square over frequencies.
    assert (system.l2_error <= system.peak_error + rounding).all()


@settings(max_examples=20, derandomize=True)
@given(n=st.integers(2, 40), seed=st.integers(0, 9))
def test_all_states_make_it_exact(n: int, seed: int) -> None:
    taps = kernels("random", n, seed)
    system = reduce(taps, order=n - 1)
    torch.testing.assert_close(system.kernel(n), taps)
    assert system.kernel(3 * n)[:, n:].abs().max() < 1e-9


def test_a_system_of_few_states_is_found_again() -> None:
    lags = torch.arange(400, dtype=torch.float64)
    taps = torch.stack([0.9**lags * torch.cos(0.3 * lags), 0.85**lags - 0.5**lags])
    system = reduce(taps, order=2)
    torch.testing.assert_close(system.kernel(400), taps, rtol=0, atol=1e-12)
    expected = torch.polar(torch.tensor(0.9), torch.tensor(0.3)).to(torch.complex128)
    assert (system.poles()[0] - expected).abs().min() < 1e-7


def test_measured_errors_are_those_of_the_definition() -> None:
    taps = kernels("decaying", 50, 0)
    system = reduce(taps, order=4)
    long = system.kernel(4000)  # all of it: it decays
    long[:, :50] -= taps
    torch.testing.assert_close(system.l2_error, long.norm(dim=1))
    spectrum = torch.fft.rfft(long, n=400 * 16)[:, :: 400 * 16 // 400].abs()
    torch.testing.assert_close(system.peak_error, spectrum.amax(1))


def test_singular_values_are_those_of_the_hankel_matrix() -> None:
    taps = kernels("random", 30, 1)
    matrix = torch.zeros(2, 29, 29, dtype=torch.float64)
    for i in range(29):
        for j in range(29 - i):
            matrix[:, i, j] = taps[:, i + j + 1]
    torch.testing.assert_close(hankel_values(taps), torch.linalg.svdvals(matrix))
    torch.testing.assert_close(reduce(taps, order=3).hankel_values, torch.linalg.svdvals(matrix))


@pytest.mark.parametrize("tolerance", [1e-6, 1e-2, 0.3, 0.9])
def test_a_tolerance_is_kept_with_the_fewest_states(tolerance: float) -> None:
    taps = torch.cat([kernels("decaying", 60, 2), kernels("tno", 60, 3)])
    system = reduce(taps, tolerance=tolerance)
    allowed = tolerance * torch.fft.rfft(taps, n=240).abs().amax(1)
    assert (system.bound <= allowed).all()
    for channel, order in enumerate(system.orders.tolist()):
        if order > 1:
            fewer = 2 * system.hankel_values[channel, order - 1 :].sum()
            assert fewer > allowed[channel]
        alone = reduce(taps[channel : channel + 1], order=order)
        torch.testing.assert_close(alone.kernel(60)[0], system.kernel(60)[channel])
    torch.testing.assert_close(system.orders, choose_order(system.hankel_values, allowed))


def test_channels_in_chunks_are_channels_together(monkeypatch: pytest.MonkeyPatch) -> None:
    taps = torch.cat([kernels("decaying", 30, seed) for seed in range(4)])
    together = reduce(taps, tolerance=0.05)
    monkeypatch.setattr(reduction, "CHUNK_BYTES", 3 * 8 * 29**2)
    apart = reduce(taps, tolerance=0.05)
    assert len(set(together.orders.tolist())) > 1
    torch.testing.assert_close(apart.state_dict(), together.state_dict())


def test_a_silent_channel_stays_silent() -> None:
    system = reduce(torch.zeros(1, 10), tolerance=0.1)
    assert not system.kernel(20).any()
    assert system.bound.item() == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "order or tolerance, one of them"),
        ({"order": 1, "tolerance": 0.1}, "one of them"),
        ({"order": 0}, r"orders 1 … 7; got 0"),
        ({"order": 8}, r"orders 1 … 7; got 8"),
        ({"tolerance": 0.0}, r"\(0, 1\); got 0"),
    ],
)
def test_what_is_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        reduce(torch.ones(2, 8), **options)  # type: ignore[arg-type]


def test_one_tap_has_nothing_to_reduce() -> None:
    with pytest.raises(ValueError, match="at least two taps; got n = 1"):
        reduce(torch.ones(2, 1), order=1)
