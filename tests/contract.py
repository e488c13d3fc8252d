"""What every operator promises. A test class inherits this and says how to build one.

class TestTNO(OperatorContract):
    def build(self, channels, causal): return TNO(channels, causal=causal)
"""

import io
from abc import ABC, abstractmethod

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save
from torch import Tensor, nn

from tnnlab.ops import toeplitz_matrix

LENGTHS = [1, 2, 3, 17, 64, 127, 1000]
BOTH = pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])


def assert_same(y: Tensor, expected: Tensor, sources: list[Tensor]) -> None:
    """Two outputs agree, and so do their gradients in every source."""
    torch.testing.assert_close(y, expected)
    grad = torch.randn_like(y)
    for value, reference in zip(
        torch.autograd.grad(y, sources, grad),
        torch.autograd.grad(expected, sources, grad),
        strict=True,
    ):
        torch.testing.assert_close(value, reference)


class OperatorContract(ABC):
    """The shared contract.

    ``extends`` says whether ``kernel(m)`` extends ``kernel(n)``, ``directions`` whether there are
    causal and bidirectional operators of this kind.
    """

    channels = 4
    extends = True
    directions: tuple[bool, ...] = (True, False)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "causal" in metafunc.fixturenames:
            names = ["causal" if causal else "bidirectional" for causal in self.directions]
            metafunc.parametrize("causal", self.directions, ids=names)

    @abstractmethod
    def build(self, channels: int, causal: bool) -> nn.Module:
        """A new operator, its weights drawn from torch's global generator."""

    def make(self, causal: bool, dtype: torch.dtype = torch.float64) -> nn.Module:
        torch.manual_seed(0)
        return self.build(self.channels, causal).to(dtype)

    def inputs(self, n: int, batch: int = 2, dtype: torch.dtype = torch.float64) -> Tensor:
        generator = torch.Generator().manual_seed(n)
        x = torch.randn(batch, n, self.channels, generator=generator, dtype=torch.float64)
        return x.to(dtype)

    def dense(self, operator: nn.Module, x: Tensor, causal: bool) -> Tensor:
        """The naive twin: the operator's matrix, written out."""
        matrix = toeplitz_matrix(operator.kernel(x.shape[-2]), causal)
        return torch.einsum("cij,bjc->bic", matrix, x)

    def taps(self, operator: nn.Module, n: int) -> Tensor:
        """What determines the operator at length n."""
        return operator.kernel(n)

    @pytest.mark.parametrize("batch", [0, 1, 2])
    @pytest.mark.parametrize("n", LENGTHS)
    def test_values_and_gradients_equal_the_dense_matrix(
        self, n: int, batch: int, causal: bool
    ) -> None:
        operator = self.make(causal)
        x = self.inputs(n, batch).requires_grad_()
        y, expected = operator(x), self.dense(operator, x, causal)
        assert_same(y, expected, [x, *operator.parameters()])

    # Each class that inherits this test runs it: nothing is shared between them.
    @settings(
        max_examples=15,
        derandomize=True,
        suppress_health_check=[HealthCheck.differing_executors],
    )
    @given(
        batch=st.lists(st.integers(0, 3), max_size=3),
        n=st.integers(1, 200),
        channels=st.integers(1, 8),
    )
    def test_any_shape(self, causal: bool, batch: list[int], n: int, channels: int) -> None:
        torch.manual_seed(0)
        operator = self.build(channels, causal).double()
        x = torch.randn(*batch, n, channels, dtype=torch.float64)
        y = operator(x)
        assert y.shape == x.shape
        expected = self.dense(operator, x.reshape(-1, n, channels), causal)
        torch.testing.assert_close(y, expected.reshape(x.shape))

    @pytest.mark.parametrize("n", LENGTHS)
    def test_the_kernel_is_the_impulse_response(self, n: int, causal: bool) -> None:
        operator = self.make(causal)
        impulse = torch.zeros(1, n, self.channels, dtype=torch.float64)
        taps = operator.kernel(n)
        if causal:
            impulse[:, 0] = 1
            assert taps.shape == (self.channels, n)
            torch.testing.assert_close(operator(impulse)[0].T, taps)
        else:
            middle = n // 2
            impulse[:, middle] = 1
            assert taps.shape == (self.channels, 2 * n - 1)
            start = n - 1 - middle
            torch.testing.assert_close(operator(impulse)[0].T, taps[:, start : start + n])

    def test_a_causal_operator_never_sees_the_future(self) -> None:
        operator = self.make(True)
        x = self.inputs(40)
        changed = x.clone()
        changed[:, 25:] += 10
        before, after = operator(x), operator(changed)
        torch.testing.assert_close(before[:, :25], after[:, :25])
        assert not torch.allclose(before[:, 25], after[:, 25])

    def test_a_bidirectional_operator_sees_the_future(self) -> None:
        operator = self.make(False)
        x = self.inputs(40)
        changed = x.clone()
        changed[:, 25:] += 10
        assert not torch.allclose(operator(x)[:, :25], operator(changed)[:, :25])

    def test_whether_a_longer_kernel_extends_a_shorter(self, causal: bool) -> None:
        operator = self.make(causal)
        short, long = operator.kernel(50), operator.kernel(120)
        same = long[:, :50] if causal else long[:, 70:-70]
        assert torch.allclose(short, same) == self.extends

    def test_strides_do_not_matter(self, causal: bool) -> None:
        operator = self.make(causal)
        x = self.inputs(33)
        strided = x.transpose(1, 2).contiguous().transpose(1, 2)
        torch.testing.assert_close(operator(strided), operator(x))

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
    @pytest.mark.parametrize("n", [17, 300])
    def test_half_precision_input(self, n: int, dtype: torch.dtype, causal: bool) -> None:
        operator = self.make(causal, torch.float32)
        x = self.inputs(n, dtype=dtype)
        y = operator(x)
        reference = self.dense(operator.double(), x.double(), causal)
        assert y.dtype == dtype
        assert (y.double() - reference).norm() < 1e-2 * reference.norm()

    def test_autocast_keeps_the_kernel_in_full_precision(self, causal: bool) -> None:
        operator = self.make(causal, torch.float32)
        taps = self.taps(operator, 300)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(self.taps(operator, 300), taps)

    def test_half_precision_weights_still_tell_lags_apart(self, causal: bool) -> None:
        operator = self.make(causal, torch.bfloat16)
        taps = self.taps(operator, 600)
        assert taps.dtype == torch.float32
        torch.testing.assert_close(taps, self.taps(operator.float(), 600))

    @pytest.mark.filterwarnings("ignore")  # deprecations inside torch's compiler
    def test_it_compiles_without_a_graph_break(self, causal: bool) -> None:
        # Tracing finds graph breaks and wrong gradients; the C++ compiler, whose minutes would add
        # up over all operators, runs in the tests of the product and of a whole model.
        torch.compiler.reset()
        operator = self.make(causal, torch.float32)
        x = self.inputs(200, dtype=torch.float32).requires_grad_()
        compiled = torch.compile(operator, fullgraph=True, backend="aot_eager")
        y, expected = compiled(x), operator(x)
        torch.testing.assert_close(y, expected, atol=1e-4, rtol=1e-4)
        sources = [x, *operator.parameters()]
        for value, reference in zip(
            torch.autograd.grad(y.square().sum(), sources),
            torch.autograd.grad(expected.square().sum(), sources),
            strict=True,
        ):
            assert (value - reference).norm() <= 1e-3 * reference.norm() + 1e-6

    def test_weights_travel_without_pickle(self, causal: bool) -> None:
        operator = self.make(causal, torch.float32)
        torch.manual_seed(1)
        other = self.build(self.channels, causal).to(torch.float32)
        other.load_state_dict(load(save(operator.state_dict())))
        assert torch.equal(self.taps(other, 30), self.taps(operator, 30))
        buffer = io.BytesIO()
        torch.save(operator.state_dict(), buffer)
        buffer.seek(0)
        other.load_state_dict(torch.load(buffer, weights_only=True))
        assert torch.equal(self.taps(other, 30), self.taps(operator, 30))

    def test_a_seed_decides_everything(self, causal: bool) -> None:
        first, second = self.make(causal), self.make(causal)
        x = self.inputs(30)
        assert torch.equal(first(x), second(x))

    @pytest.mark.gpu
    def test_it_moves_between_devices(self, causal: bool) -> None:
        operator = self.make(causal)
        x = self.inputs(300)
        expected = operator(x)
        torch.testing.assert_close(operator.cuda()(x.cuda()).cpu(), expected)

    @pytest.mark.parametrize("shape", [(2, 5, 3), (5,), (2, 0, 4)], ids=str)
    def test_wrong_shapes_are_named(self, shape: tuple[int, ...], causal: bool) -> None:
        operator = self.make(causal, torch.float32)
        with pytest.raises(ValueError, match=r"\(batch, length, channels\).*got"):
            operator(torch.ones(shape))

    def test_a_kernel_of_no_length_is_refused(self, causal: bool) -> None:
        with pytest.raises(ValueError, match=r"n ≥ 1.*got (n = )?0"):
            self.taps(self.make(causal), 0)


class Watched(nn.Module):
    """An operator that returns its input, and keeps it."""

    seen: Tensor

    def __init__(self, channels: int, *, causal: bool = True) -> None:
        super().__init__()
        self.channels, self.causal = channels, causal

    def forward(self, x: Tensor) -> Tensor:
        self.seen = x
        return x

    def reads_along(self) -> bool:
        """Whether positions were neighbours in memory."""
        return self.seen.stride(-2) == 1
