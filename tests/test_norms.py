import pytest
import torch
from torch import nn

from tnnlab.norms import BatchNorm


def test_batch_norm_is_pytorchs() -> None:
    """Outputs, gradients and running averages, in training and in evaluation."""
    torch.manual_seed(0)
    ours, theirs = BatchNorm(4).double(), nn.BatchNorm1d(4).double()
    for step in range(3):
        x = (step + torch.randn(2, 5, 4, dtype=torch.float64)).requires_grad_()
        y, expected = ours(x), theirs(x.transpose(1, 2)).transpose(1, 2)
        torch.testing.assert_close(y, expected)
        grad = torch.randn_like(x)
        torch.testing.assert_close(
            torch.autograd.grad(y, [x, ours.weight, ours.bias], grad),
            torch.autograd.grad(expected, [x, theirs.weight, theirs.bias], grad),
        )
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)
    torch.testing.assert_close(ours.running_var, theirs.running_var)
    ours.eval(), theirs.eval()
    x = torch.randn(2, 5, 4, dtype=torch.float64)
    torch.testing.assert_close(ours(x), theirs(x.transpose(1, 2)).transpose(1, 2))


def test_padding_is_not_in_the_statistics() -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 6, 4, dtype=torch.float64)
    mask = torch.rand(3, 6) < 0.6
    ours, theirs = BatchNorm(4).double(), nn.BatchNorm1d(4).double()
    filled = x.masked_fill(~mask.unsqueeze(-1), 1e3)
    torch.testing.assert_close(ours(filled, mask)[mask], theirs(x[mask]))
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)
    torch.testing.assert_close(ours.running_var, theirs.running_var)


@pytest.mark.parametrize("mask", [None, torch.zeros(1, 1, dtype=torch.bool)])
def test_one_position_or_none_gives_finite_numbers(mask: torch.Tensor | None) -> None:
    norm = BatchNorm(4)
    x = torch.randn(1, 1, 4, requires_grad=True)
    norm(x, mask).square().sum().backward()
    assert x.grad is not None and x.grad.isfinite().all()
    assert norm.running_var.isfinite().all()


def test_images_are_normalised_over_all_positions() -> None:
    x = torch.randn(2, 3, 5, 4)
    torch.testing.assert_close(BatchNorm(4)(x).flatten(1, 2), BatchNorm(4)(x.flatten(1, 2)))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_input_is_normalised_in_float32(dtype: torch.dtype) -> None:
    x = 100 + torch.randn(4, 300, 8)
    low = BatchNorm(8)(x.to(dtype))
    assert low.dtype == dtype
    torch.testing.assert_close(low.float(), BatchNorm(8)(x.to(dtype).float()), atol=2e-2, rtol=1e-2)
