"""Two processes that share each batch end with the weights of one that has all of it."""

from functools import partial
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from tests.training.helpers import PROCESSES, together
from tnnlab.models import CausalLM, TNNConfig
from tnnlab.operators import base

CONFIG = TNNConfig(
    vocab_size=30, depth=2, width=8, glu_width=8, rpe_width=8, rpe_depth=1, dropout=0.0
)
METHODS = ("tiles", "fft")
STEPS, BATCH, LENGTH = 4, 6, 70  # more than one tile


def make_model(seed: int) -> CausalLM:
    torch.manual_seed(seed)
    return CausalLM(CONFIG).double()


def trained(model: nn.Module, method: str, share: slice) -> dict[str, Tensor]:
    """The weights after a few updates, each from this share of a batch."""
    generator = torch.Generator().manual_seed(7)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.1)
    product = partial(base.toeplitz_matmul, method=method)
    with patch.object(base, "toeplitz_matmul", product):
        for _ in range(STEPS):
            shape = (BATCH, LENGTH + 1)
            batch = torch.randint(CONFIG.vocab_size, shape, generator=generator)[share]
            optimizer.zero_grad()
            model(batch[:, :-1], batch[:, 1:]).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
    return {name.removeprefix("module."): w.detach() for name, w in model.state_dict().items()}


def work(folder: Path) -> None:
    """What one process does."""
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    share = slice(rank, None, PROCESSES)
    found = {
        # Other weights in each process, until the first one's are sent to all.
        method: trained(DistributedDataParallel(make_model(seed=rank)), method, share)
        for method in METHODS
    }
    torch.save(found, folder / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, Tensor]]]:
    folder = tmp_path_factory.mktemp("ddp")
    together(work, folder)
    return [torch.load(folder / f"{rank}.pt") for rank in range(PROCESSES)]


@pytest.mark.parametrize("method", METHODS)
def test_weights_are_those_of_one_process_with_the_whole_batch(
    method: str, processes: list[dict[str, dict[str, Tensor]]]
) -> None:
    whole = trained(make_model(seed=0), method, slice(None))
    for found in processes:
        assert found[method].keys() == whole.keys()
        for name, weight in found[method].items():
            torch.testing.assert_close(weight, whole[name], rtol=1e-9, atol=1e-10, msg=name)


def test_a_share_alone_gives_other_weights() -> None:
    whole, share = (
        trained(make_model(seed=0), "fft", part) for part in (slice(None), slice(0, None, 2))
    )
    for name, weight in make_model(seed=0).state_dict().items():
        assert (whole[name] - weight).abs().max() > 1e-3
        assert (whole[name] - share[name]).abs().max() > 1e-4
