"""What decoders cost in quality: perplexity of a trained model with its kernels replaced.

    python -m tnnlab.bench.quality RUN OUT.json

Beyond the trained length n the decoders differ: the model asks its RPE further out, a window cuts
off, and a recurrence goes on as its poles say. At n a reduced model has an error of its own, which
is measured against the number of states.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tnnlab.bench.rows import make_record
from tnnlab.convert import etsc
from tnnlab.convert.model import convert_model
from tnnlab.generation.memory import substitute
from tnnlab.models import CausalLM
from tnnlab.operators import ToeplitzOperator
from tnnlab.ops import toeplitz_matmul
from tnnlab.results import RUN, write_record
from tnnlab.training.config import RunConfig
from tnnlab.training.devices import make_accelerator
from tnnlab.training.language import LanguageModelling

FACTORS = (1, 2, 4, 16)
TOLERANCES = (0.5, 0.2, 0.1, 0.05)


class Cut(nn.Module):
    """An operator with its kernel cut off after n taps: what a window of n inputs computes.

    Args:
        operator: causal.
        n: taps that are kept.
    """

    taps: Tensor

    def __init__(self, operator: ToeplitzOperator, n: int) -> None:
        super().__init__()
        self.register_buffer("taps", operator.kernel(n).detach())

    def forward(self, x: Tensor) -> Tensor:
        taps = F.pad(self.taps, (0, max(0, x.shape[1] - self.taps.shape[1])))
        return toeplitz_matmul(taps[:, : x.shape[1]], x.mT, causal=True).mT


def continuations(model: CausalLM, n: int) -> dict[str, nn.Module]:
    """The model as it is, and as decoders of n taps go on."""

    def published(operator: ToeplitzOperator) -> nn.Module:
        taps = operator.kernel(n)
        return etsc(taps, decay=operator.envelope(), published=True).to(taps.dtype)

    def swapped(make: Any) -> nn.Module:
        return substitute(model, lambda m: make(m) if isinstance(m, ToeplitzOperator) else None)

    with torch.no_grad():
        return {
            "rpe": model,
            "window": swapped(lambda operator: Cut(operator, n)),
            "etsc": convert_model(model, "etsc", length=n),
            "etsc-published": swapped(published),
        }


def measure_quality(run: Path, command: str) -> dict[str, Any]:
    """Measure a trained run on its validation split.

    Args:
        run: its folder.
        command: for the record.

    Returns:
        the record, as :func:`tnnlab.results.write_record` takes it.
    """
    begun = time.perf_counter()
    source = json.loads((run / RUN).read_text(encoding="utf-8"))
    config = RunConfig.from_dict(source["config"])
    config.evaluation.test = False
    accelerator, precision = make_accelerator(config.training)
    objective = LanguageModelling(config, accelerator)
    device = accelerator.device
    model = CausalLM.from_pretrained(run / "model", device)
    n = config.data.length

    def losses(lm: nn.Module, lengths: tuple[int, ...]) -> Iterator[dict[str, Any]]:
        for length in lengths:
            with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
                yield {"n": length, **objective.measure_at(lm, "validation", length)}

    rows: list[dict[str, Any]] = []
    for name, lm in continuations(model, n).items():
        lengths = tuple(factor * n for factor in FACTORS)
        rows += [{"kind": "beyond", "name": name, **row} for row in losses(lm, lengths)]
    for tolerance in TOLERANCES:
        lm = convert_model(model, "reduced", length=n, tolerance=tolerance)
        orders = [layer["orders"]["mean"] for layer in lm.report]
        head = {"kind": "reduced", "name": f"reduced-{tolerance}", "tolerance": tolerance}
        head["states"] = sum(orders) / len(orders)
        rows += [{**head, **row} for row in losses(lm, (n,))]
    return make_record(
        "bench-quality",
        "What decoders cost in perplexity, at the trained length and beyond",
        preset=source["preset"],
        command=command,
        config={"run": source["config"], "run_commit": source["provenance"].get("commit")},
        device=device,
        begun=begun,
        rows=rows,
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tnnlab.bench.quality", description=__doc__)
    parser.add_argument("run", type=Path, help="the folder of a trained language model")
    parser.add_argument("out", type=Path, help="the record, a JSON file")
    options = parser.parse_args()
    record = measure_quality(options.run, f"python -m tnnlab.bench.quality {options.run} OUT.json")
    for row in record["rows"]:
        print(f"{row['name']:16} n = {row['n']:<6} perplexity {row['perplexity_per_token']:.4f}")
    write_record(options.out, record)


if __name__ == "__main__":
    main()
