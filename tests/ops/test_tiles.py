"""The GPU kernels of tiles: every shape that they do not divide; and the choice of a method."""

import functools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ops import reference
from tests.ops.reference import exact, near, through
from tnnlab.ops import choose_method, crossovers, tiles, toeplitz_matmul
from tnnlab.ops.tiles import correlation_operator, gpu_kernels_refuse, product_operator

# Tiles round the taps. Here there is nothing to round off, as few products do not average it out.
draw = functools.partial(reference.draw, rounded=True)
BOTH = pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])


@pytest.mark.gpu
@BOTH
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32], ids=str)
@pytest.mark.parametrize("n", [1, 2, 3, 16, 17, 64, 127, 128, 129, 1000, 1024])
@pytest.mark.parametrize("batch", [1, 3, 70])
def test_values_and_gradients(batch: int, n: int, dtype: torch.dtype, causal: bool) -> None:
    tensors = draw(n, batch, causal, dtype=dtype)
    tolerance = {torch.bfloat16: 3e-3, torch.float16: 5e-4, torch.float32: 2e-6}[dtype]
    near(through(*tensors, causal, "triton"), exact(*tensors, causal), tolerance)


@pytest.mark.gpu
@settings(max_examples=40)
@given(
    n=st.integers(1, 700),
    batch=st.integers(1, 40),
    channels=st.integers(1, 5),
    causal=st.booleans(),
)
def test_any_shape(n: int, batch: int, channels: int, causal: bool) -> None:
    tensors = draw(n, batch, causal, channels=channels)
    near(through(*tensors, causal, "triton"), exact(*tensors, causal), 4e-3)


@pytest.mark.gpu
def test_float32_uses_tf32_only_where_it_is_allowed() -> None:
    tensors = draw(300, 4, True, dtype=torch.float32)
    reference = exact(*tensors, True)[0]
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("high")
        error = (through(*tensors, True, "triton")[0] - reference).norm() / reference.norm()
    finally:
        torch.set_float32_matmul_precision(before)
    assert 1e-5 < error < 2e-3


@pytest.mark.gpu
def test_second_derivatives() -> None:
    kernel, x, grad = draw(40, 2, True, dtype=torch.float32)
    grad = grad.requires_grad_()
    found = []
    for method in ("triton", "fft"):
        source = (kernel.requires_grad_(), x.requires_grad_())
        y = toeplitz_matmul(*source, causal=True, method=method)
        first = torch.autograd.grad(y, source, grad, create_graph=True)
        found.append(torch.autograd.grad(sum(g.square().sum() for g in first), (*source, grad)))
    near(list(found[0]), [g.double() for g in found[1]], 1e-5)


def test_they_do_not_take_float64() -> None:
    assert "float64" in str(gpu_kernels_refuse(torch.device("cuda"), torch.float64))


@pytest.mark.parametrize(
    ("installed", "gpu", "reason"),
    [
        (False, ("NVIDIA H200", (9, 0)), "Triton is not installed"),
        (True, ("Tesla T4", (7, 5)), "need compute capability 8.0, and Tesla T4 has 7.5"),
        (True, ("NVIDIA A100", (8, 0)), None),
    ],
    ids=["no Triton", "T4", "A100"],
)
def test_the_choice_says_what_a_gpu_lacks(
    installed: bool,
    gpu: tuple[str, tuple[int, int]],
    reason: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tiles, "_TRITON", installed)
    monkeypatch.setattr(tiles, "_gpu", lambda device: gpu)
    monkeypatch.setattr(tiles, "_shared_memory", lambda device: 163 * 1024)
    monkeypatch.setattr(crossovers, "device_name", lambda device: gpu[0])
    crossovers.forget()
    for dtype in (torch.float16, torch.bfloat16):
        choice = choose_method(512, 64, device="cuda", dtype=dtype)
        assert choice.method == ("triton" if reason is None else "fft")
        assert (reason or "crossover") in choice.reason
    crossovers.forget()  # those of a machine that is not there


def test_the_fft_on_chip_needs_the_shared_memory_of_hopper(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tiles, "_TRITON", True)
    monkeypatch.setattr(tiles, "_gpu", lambda device: ("NVIDIA A100", (8, 0)))
    monkeypatch.setattr(tiles, "_shared_memory", lambda device: 163 * 1024)
    monkeypatch.setattr(crossovers, "device_name", lambda device: "NVIDIA A100")
    crossovers.forget()
    refusal = tiles.gpu_kernels_refuse(torch.device("cuda"), torch.bfloat16, "monarch")
    assert refusal is not None and "227 KiB" in refusal and "NVIDIA A100 has 163" in refusal
    for n, method in ((4096, "triton"), (8192, "triton"), (8193, "fft")):
        assert choose_method(n, 64, device="cuda", dtype=torch.float16).method == method
    crossovers.forget()


@BOTH
def test_where_tiles_hand_over_on_a_gpu(causal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "_TRITON", True)
    monkeypatch.setattr(tiles, "_gpu", lambda device: ("NVIDIA H100", (9, 0)))
    monkeypatch.setattr(tiles, "_shared_memory", lambda device: 227 * 1024)
    monkeypatch.setattr(crossovers, "device_name", lambda device: "NVIDIA H100")
    crossovers.forget()

    def chosen(n: int, dtype: torch.dtype) -> str:
        return choose_method(n, 64, device="cuda", dtype=dtype, causal=causal).method

    half = [chosen(n, torch.bfloat16) for n in (1, 1024, 1025, 131_072, 131_073)]
    assert half == ["triton", "triton", "monarch", "monarch", "fft"]
    with_tf32 = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("high")
        # Twice the tiles, and PyTorch's FFT next: half the length.
        singles = [chosen(n, torch.float32) for n in (512, 513, 1024, 1025)]
    finally:
        torch.set_float32_matmul_precision(with_tf32)
    assert singles == ["triton", *(["triton"] * 2 if causal else ["fft"] * 2), "fft"]
    crossovers.forget()


@BOTH
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("scheme", ["tiles", "monarch"])
def test_the_custom_operators_keep_pytorchs_rules(
    scheme: str, transposed: bool, causal: bool
) -> None:
    kernel = torch.randn(2, 7 if causal else 13, requires_grad=True)
    x, grad = torch.randn(2, 3, 2, 7)
    arguments = (kernel, x.requires_grad_(), causal, transposed, scheme)
    torch.library.opcheck(product_operator, arguments)
    torch.library.opcheck(correlation_operator, (x, grad.requires_grad_(), causal, scheme))
