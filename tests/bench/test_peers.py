"""Other packages beside ours: adapters, tried with modules of the same interface.

What stands in for mamba_ssm computes a block all at once, as a matrix of n × n; its twin in the
benchmark goes step by step.
"""

import dataclasses
import sys
from types import ModuleType
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.bench.test_checks import CPU, no_timer, timer
from tests.contract import BOTH, assert_same
from tnnlab.bench import mamba, products, training
from tnnlab.bench.rows import Sizes
from tnnlab.parameters import count_parameters

BENCH = dataclasses.replace(training.PRESETS["smoke"], length=12)
NAMES = pytest.mark.parametrize("name", list(mamba.BLOCKS))


def mix(log_decay: Tensor, u: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """``y_t = Σ_{s ≤ t} c_t · exp(Σ_{s < r ≤ t} log_decay_r) b_s u_s`` in each channel."""
    total = log_decay.cumsum(1)
    n = u.shape[1]
    later = torch.ones(n, n, dtype=torch.bool).tril()[..., None, None]
    power = (total[:, :, None] - total[:, None]).masked_fill(~later, -torch.inf).exp()
    return torch.einsum("btsdk,bsd,bsk,btk->btd", power.expand(*power.shape[:4], b.shape[-1]),
                        u, b, c)  # fmt: skip


class Norm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.rand(width)), 1e-5

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        return F.rms_norm(x * F.silu(z), x.shape[-1:], self.weight, self.eps)


class Block(nn.Module):
    """What both have: arguments and attributes are those of mamba_ssm 2.3."""

    def __init__(self, d_model: int, d_state: int, d_conv: int, expand: int) -> None:
        super().__init__()
        self.d_state, self.d_inner = d_state, expand * d_model
        self.out_proj = nn.Linear(self.d_inner, d_model, bias=False)

    def convolution(self, channels: int, width: int) -> nn.Conv1d:
        return nn.Conv1d(channels, channels, width, groups=channels, padding=width - 1)

    def short(self, x: Tensor) -> Tensor:
        weight = self.conv1d.weight[:, 0]
        padded = F.pad(x, (0, 0, weight.shape[1] - 1, 0)).unfold(1, weight.shape[1], 1)
        return F.silu((padded * weight).sum(-1) + self.conv1d.bias)


class Mamba(Block):
    def __init__(self, d_model: int, d_state: int = 16, d_conv: int = 4, expand: int = 2) -> None:
        super().__init__(d_model, d_state, d_conv, expand)
        self.dt_rank = -(-d_model // 16)
        self.in_proj = nn.Linear(d_model, 2 * self.d_inner, bias=False)
        self.conv1d = self.convolution(self.d_inner, d_conv)
        self.x_proj = nn.Linear(self.d_inner, self.dt_rank + 2 * d_state, bias=False)
        self.dt_proj = nn.Linear(self.dt_rank, self.d_inner)
        states = torch.arange(1.0, d_state + 1).repeat(self.d_inner, 1)
        self.A_log, self.D = nn.Parameter(states.log()), nn.Parameter(torch.rand(self.d_inner))

    def forward(self, hidden_states: Tensor, inference_params: Any = None) -> Tensor:
        x, z = self.in_proj(hidden_states).chunk(2, dim=-1)
        x = self.short(x)
        dt, b, c = self.x_proj(x).split([self.dt_rank, self.d_state, self.d_state], dim=-1)
        dt = F.softplus(self.dt_proj(dt))
        y = mix(-dt[..., None] * self.A_log.exp(), dt * x, b, c) + self.D * x
        return self.out_proj(y * F.silu(z))


class Mamba2(Block):
    def __init__(
        self, d_model: int, d_state: int = 128, d_conv: int = 4, expand: int = 2, headdim: int = 64
    ) -> None:
        super().__init__(d_model, d_state, d_conv, expand)
        assert self.d_inner % headdim == 0
        self.headdim, self.nheads = headdim, self.d_inner // headdim
        mixed = self.d_inner + 2 * d_state
        self.in_proj = nn.Linear(d_model, self.d_inner + mixed + self.nheads, bias=False)
        self.conv1d = self.convolution(mixed, d_conv)
        self.dt_bias = nn.Parameter(torch.rand(self.nheads))
        self.A_log = nn.Parameter(torch.rand(self.nheads))
        self.D = nn.Parameter(torch.rand(self.nheads))
        self.norm = Norm(self.d_inner)

    def forward(self, u: Tensor, seqlen: Any = None, seq_idx: Any = None) -> Tensor:
        z, x, dt = self.in_proj(u).tensor_split([self.d_inner, -self.nheads], dim=-1)
        x, b, c = self.short(x).split([self.d_inner, self.d_state, self.d_state], dim=-1)
        dt = F.softplus(dt + self.dt_bias)
        heads = x.unflatten(-1, (self.nheads, self.headdim))
        y = [
            mix((-dt * self.A_log.exp())[..., h, None, None], dt[..., h, None] * heads[..., h, :],
                b, c) + self.D[h] * heads[..., h, :]
            for h in range(self.nheads)
        ]  # fmt: skip
        return self.out_proj(self.norm(torch.cat(y, -1), z))


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    package: Any = ModuleType("mamba_ssm")
    package.Mamba, package.Mamba2 = Mamba, Mamba2
    monkeypatch.setitem(sys.modules, "mamba_ssm", package)
    return package


@NAMES
@pytest.mark.parametrize("n", [1, 2, 21])
def test_a_block_is_what_its_twin_computes_step_by_step(name: str, n: int) -> None:
    torch.manual_seed(0)
    block = {"mamba": Mamba, "mamba2": lambda width: Mamba2(width, d_state=8, headdim=8)}[name](12)
    block = block.double()
    x = torch.randn(2, n, 12, dtype=torch.float64, requires_grad=True)
    twin = mamba.NaiveMixer(block)
    assert_same(mamba.MambaMixer(block)(x), twin(x), [x, *block.parameters()])
    assert [id(p) for p in twin.parameters()] == [id(p) for p in block.parameters()]


@NAMES
def test_a_model_of_its_blocks_is_as_large_as_ours(name: str, installed: ModuleType) -> None:
    config = dataclasses.replace(BENCH.config, depth=7, width=96)
    model = mamba.mamba_lm(name, config)
    target, size = count_parameters(config), model.num_parameters()
    block = sum(p.numel() for p in model.blocks[0].parameters())
    assert abs(size - target) <= block / 2 and len(model.blocks) > 1
    assert type(model.blocks[-1].gtu.mamba).__name__.lower() == name
    assert model.embedding.weight.shape == (config.vocab_size, 96)


@NAMES
def test_a_model_of_its_blocks_is_checked_then_timed(name: str, installed: ModuleType) -> None:
    row = training._row(name, BENCH.config, BENCH, CPU)
    assert "skipped" not in row and row["tokens_per_s"] > 0 and row["depth"] >= 1
    assert 0 < row["errors"]["loss"] < 1e-5 and 0 < row["errors"]["gradients"] < 1e-4


@NAMES
def test_a_block_that_is_wrong_is_not_timed(
    name: str, installed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class_name = mamba.BLOCKS[name][0]
    right = getattr(installed, class_name)

    def forward(self: nn.Module, x: Tensor) -> Tensor:
        return 1.1 * right.forward(self, x)

    wrong = type(class_name, (right,), {"forward": forward})
    monkeypatch.setattr(installed, class_name, wrong)
    row = training._row(name, BENCH.config, BENCH, CPU)
    assert row["wrong"] and "relative error" in row["skipped"] and "time_s" not in row


@NAMES
def test_without_the_package_the_row_says_so(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mamba_ssm", None)
    row = training._row(name, BENCH.config, BENCH, CPU)
    assert "mamba_ssm" in row["skipped"] and not row["wrong"]


@pytest.mark.filterwarnings("ignore")  # deprecations inside torch's compiler
def test_its_blocks_stay_outside_of_a_graph(installed: ModuleType) -> None:
    torch.compiler.reset()
    model = mamba.mamba_lm("mamba", BENCH.config).eval()
    tokens = torch.randint(97, (2, 9))
    expected = model(tokens)
    graphs = []

    def backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Any:
        graphs.append(str(graph.code))
        return graph

    compiled = torch.compile(mamba.outside_the_graph(model), backend=backend)
    torch.testing.assert_close(compiled(tokens), expected)
    assert graphs and not any("softplus" in code for code in graphs)


class FlashFFTConv(nn.Module):
    """The interface of flashfftconv: sizes, dtypes, and what it is called with."""

    def __init__(self, seqlen: int, dtype: torch.dtype, use_32_butterfly: bool = True) -> None:
        super().__init__()
        assert dtype in (torch.bfloat16, torch.float16)
        if seqlen not in [2**power for power in range(8, 23)]:
            raise NotImplementedError(f"seqlen {seqlen} not supported")
        self.seqlen = seqlen

    def forward(self, u: Tensor, k: Tensor, pregate: Any = None, postgate: Any = None) -> Tensor:
        assert u.is_contiguous() and k.dtype == torch.float32 and k.shape[-1] <= self.seqlen
        spectrum = torch.fft.rfft(u.float(), n=self.seqlen) * torch.fft.rfft(k, n=self.seqlen)
        return torch.fft.irfft(spectrum, n=self.seqlen)[..., : u.shape[-1]].to(u.dtype)


@pytest.fixture
def flashfftconv(monkeypatch: pytest.MonkeyPatch) -> None:
    package: Any = ModuleType("flashfftconv")
    package.FlashFFTConv = FlashFFTConv
    monkeypatch.setitem(sys.modules, "flashfftconv", package)
    monkeypatch.setattr(products, "_CONVOLUTIONS", {})


@BOTH
def test_flashfftconv_is_checked_then_timed(flashfftconv: None, causal: bool) -> None:
    sizes = Sizes(128, 2, 3, causal, torch.bfloat16, CPU)
    rows = products.product_rows("flashfftconv", sizes, timer)
    assert [row["pass"] for row in rows] == ["forward", "forward+backward"]
    assert 0 < max(rows[0]["errors"].values()) < 1e-2


@pytest.mark.parametrize(
    ("n", "dtype", "reason"),
    [
        (128, torch.float32, "takes float16 and bfloat16, not torch.float32"),
        (100, torch.bfloat16, "seqlen 200 not supported"),
        (64, torch.bfloat16, "seqlen 128 not supported"),
    ],
)
def test_what_flashfftconv_does_not_take_is_said(
    flashfftconv: None, n: int, dtype: torch.dtype, reason: str
) -> None:
    (row,) = products.product_rows("flashfftconv", Sizes(n, 2, 3, True, dtype, CPU), no_timer)
    assert reason in row["skipped"] and not row["wrong"]
