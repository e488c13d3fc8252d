import pytest
import torch
from torch import Tensor, nn

from tests.contract import OperatorContract
from tnnlab.convert import DiagonalSSM, StateSpace, etsc, reduce
from tnnlab.convert.systems import StatefulOperator
from tnnlab.ops.statespace import hankel_matrix, pole_powers


class ConversionContract(OperatorContract):
    """What every converted system promises, beyond what every operator does."""

    directions = (True,)

    def make(self, causal: bool, dtype: torch.dtype = torch.float64) -> StatefulOperator:
        torch.manual_seed(0)
        system = self.build(self.channels, causal)
        assert isinstance(system, StatefulOperator)
        return system.to(dtype)

    def test_a_bidirectional_operator_sees_the_future(self) -> None:
        assert self.make(True).causal  # there is no other

    @pytest.mark.parametrize("batch", [0, 1, 3])
    @pytest.mark.parametrize("n", [1, 2, 17, 64, 65, 200])
    def test_the_recurrence_is_the_convolution(self, n: int, batch: int) -> None:
        system = self.make(True)
        x = self.inputs(n, batch)
        torch.testing.assert_close(system.scan(x), system(x))

    @pytest.mark.parametrize("n", [1, 2, 17, 64, 65, 200])
    def test_a_sequence_leaves_the_state_of_its_steps(self, n: int) -> None:
        system = self.make(True)
        x = self.inputs(n)
        state = system.start(2)
        assert not state.any()
        for position in x.unbind(1):
            _, state = system.step(position, state)
        torch.testing.assert_close(system.state(x), state)

    def test_it_continues_from_a_state(self) -> None:
        system = self.make(True)
        x = self.inputs(90)
        state, outputs = system.state(x[:, :50]), []
        for position in x[:, 50:].unbind(1):
            y, state = system.step(position, state)
            outputs.append(y)
        torch.testing.assert_close(torch.stack(outputs, 1), system(x)[:, 50:])

    def test_a_state_counts_its_numbers(self) -> None:
        system = self.make(True)
        assert system.start(1)[0, 0].numel() == system.order

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
    def test_a_state_of_lower_precision(self, dtype: torch.dtype) -> None:
        system = self.make(True)
        x = self.inputs(100)
        state, outputs = system.start(2).to(dtype), []
        for position in x.unbind(1):
            y, state = system.step(position, state)
            assert state.dtype == dtype
            outputs.append(y)
        expected = system(x)
        error = (torch.stack(outputs, 1) - expected).norm() / expected.norm()
        assert 0 < error < 30 * torch.finfo(dtype).eps


class TestETSC(ConversionContract):
    def build(self, channels: int, causal: bool) -> nn.Module:
        decay = 0.95 ** torch.arange(64)
        return etsc(torch.randn(channels, 64) * decay, decay=0.95)


class TestPublishedETSC(ConversionContract):
    def build(self, channels: int, causal: bool) -> nn.Module:
        decay = 0.95 ** torch.arange(64)
        return etsc(torch.randn(channels, 64) * decay, decay=0.95, published=True)


class TestReduced(ConversionContract):
    def build(self, channels: int, causal: bool) -> nn.Module:
        return reduce(torch.randn(channels, 40) * 0.9 ** torch.arange(40), order=6)


class TestDiagonal(ConversionContract):
    def build(self, channels: int, causal: bool) -> nn.Module:
        return reduce(torch.randn(channels, 40) * 0.9 ** torch.arange(40), order=6).diagonal()


def random_system(channels: int = 3, order: int = 5) -> StateSpace:
    torch.manual_seed(0)
    A = torch.randn(channels, order, order, dtype=torch.float64)
    A = 0.9 * A / torch.linalg.eigvals(A).abs().amax(1)[:, None, None]
    B, C = torch.randn(2, channels, order, dtype=torch.float64)
    return StateSpace(A, B, C, torch.randn(channels, dtype=torch.float64))


def naive_taps(system: StateSpace, n: int) -> Tensor:
    """D, C B, C A B, …, one product at a time."""
    columns, vector = [system.direct], system.B
    for _ in range(n - 1):
        columns.append((system.C * vector).sum(-1))
        vector = torch.einsum("cij,cj->ci", system.A, vector)
    return torch.stack(columns, 1)


@pytest.mark.parametrize("n", [1, 2, 3, 17, 64, 127, 1000])
def test_taps_of_a_state_space(n: int) -> None:
    system = random_system()
    torch.testing.assert_close(system.kernel(n), naive_taps(system, n))
    torch.testing.assert_close(system.diagonal().kernel(n), naive_taps(system, n))


def test_one_of_each_pair_of_states_is_enough() -> None:
    system = random_system(order=6)
    paired = int((system.poles().imag > 0).sum(1).max())
    diagonal = system.diagonal()
    assert paired > 0
    assert diagonal.poles.shape[1] < system.order  # pairs folded
    both = torch.view_as_complex(diagonal.poles)
    assert (both.imag >= 0).all()


def test_dependent_eigenvectors_are_refused() -> None:
    shift = torch.eye(20).roll(1, 0).tril()[None]  # nilpotent: a single eigenvector
    taps = torch.randn(1, 20)
    system = StateSpace(shift, torch.eye(20)[:1], taps, torch.zeros(1))
    with pytest.raises(ValueError, match=r"nearly dependent.*Keep fewer states"):
        system.diagonal()


def test_powers_of_poles_keep_their_phase() -> None:
    angle = torch.tensor([[2 * torch.pi / 7]], dtype=torch.float64)
    pole = torch.polar(torch.ones_like(angle), angle)
    powers = pole_powers(pole, torch.tensor([0, 7, 70_000]))
    torch.testing.assert_close(powers, torch.ones_like(powers))


def test_the_hankel_matrix_maps_the_past_to_the_future() -> None:
    torch.manual_seed(0)
    kernel, past = torch.randn(2, 9, dtype=torch.float64), torch.randn(8, dtype=torch.float64)
    future = hankel_matrix(kernel) @ past  # past[j] is the input j + 1 steps before the present
    for i in range(8):
        expected = sum(kernel[:, i + j + 1] * past[j] for j in range(8 - i))
        torch.testing.assert_close(future[:, i], expected)
    with pytest.raises(ValueError, match=r"n ≥ 2.*got n = 1"):
        hankel_matrix(torch.ones(3, 1))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: StateSpace(torch.ones(2, 3, 3), torch.ones(2, 3), torch.ones(2, 2), torch.ones(2)),
         "A has shape"),
        (lambda: DiagonalSSM(torch.ones(2, 3), torch.ones(2, 2), torch.ones(2)), "poles and res"),
        (lambda: etsc(torch.ones(5)), r"\(channels, n\).*got"),
        (lambda: etsc(torch.full((1, 5), torch.nan)), "NaN or infinity"),
        (lambda: reduce(torch.ones(1, 5, 2), order=1), r"\(channels, n\)"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(build: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()  # type: ignore[operator]
