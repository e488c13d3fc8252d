"""``tnnlab bench training``: whole steps of language models of equal size."""

import copy
import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tnnlab.bench import exact, mamba
from tnnlab.bench.reference import with_reference_operators
from tnnlab.bench.rows import Report, collect, make_record
from tnnlab.bench.timing import measure, settings
from tnnlab.models import CausalLM, TNNConfig
from tnnlab.parameters import count_parameters, match_width

# Largest relative error of loss and gradients that is timed, by precision.
LIMITS = {"fp32": 1e-3, "tf32": 2e-2, "bf16": 1e-1}


@dataclasses.dataclass(frozen=True)
class TrainingBench:
    """What is timed: forward, loss, backward, clipping and AdamW, on tokens at hand.

    Attributes:
        device: "cpu" or "cuda".
        precision: "fp32", "tf32" or "bf16" (autocast).
        batch, length: sequences in a step, and their tokens.
        compile: whether models, but for the published form and the insides of mamba_ssm's blocks,
            go through ``torch.compile``.
        config: of the TNN; the others are as large.
        threads: of a CPU; None: as many as PyTorch takes.
        seconds: spent on each measurement.

    >>> TrainingBench("cpu", "fp32", batch=1, length=64).config.width
    512
    """

    device: str
    precision: str
    batch: int
    length: int
    compile: bool = False
    config: TNNConfig = dataclasses.field(default_factory=TNNConfig.wikitext103)
    threads: int | None = None
    seconds: float = 3.0

    def __post_init__(self) -> None:
        if self.precision not in LIMITS:
            raise ValueError(f"precision is one of {', '.join(LIMITS)}; got {self.precision!r}")
        if self.batch < 1 or self.length < 1:
            raise ValueError(f"batch and length are at least 1; got {self.batch}, {self.length}")


PRESETS = {
    "smoke": TrainingBench(
        "cpu", "fp32", 2, 32, config=TNNConfig(97, 2, 64, 1, 64), threads=1, seconds=0.01
    ),
    "cpu": TrainingBench("cpu", "fp32", 1, 512, threads=1, seconds=1.0),
    "gpu": TrainingBench("cuda", "bf16", 128, 512, compile=True),
}


def candidates(bench: TrainingBench) -> dict[str, TNNConfig]:
    """Models by name: TNN and FD-TNN (6 RPE layers, or 3), Hyena with RTF's filter, Mamba (the
    configuration is that of the TNN to match), attention."""
    tno = bench.config
    fd = dataclasses.replace(tno, operator="fd")
    rtf = {"order": 64, "length": bench.length, "init": "xavier", "stable": True}
    size = count_parameters(tno)
    hyena = dataclasses.replace(
        tno, operator="rtf", mixer="hyena", expansion=1, operator_options=rtf
    )
    attention = dataclasses.replace(tno, operator="attention", expansion=1)
    return {
        "reference": tno,
        "tno": tno,
        "tno-3": dataclasses.replace(tno, rpe_depth=3),
        "fd": fd,
        "fd-3": dataclasses.replace(fd, rpe_depth=3),
        "hyena-rtf": match_width(hyena, size, multiple=64),
        **dict.fromkeys(mamba.BLOCKS, tno),
        "attention": match_width(attention, size, multiple=64),
    }


def bench_training(bench: TrainingBench, preset: str, command: str, report: Report) -> Any:
    """Run it all; ``report`` is given each row as it comes.

    Returns:
        the record, as :func:`tnnlab.results.write_record` takes it.

    >>> from tnnlab.models import TNNConfig
    >>> small = TNNConfig(vocab_size=64, depth=1, width=64, glu_width=64)
    >>> bench = TrainingBench("cpu", "fp32", 1, 16, config=small, seconds=0.001)
    >>> record = bench_training(bench, "smoke", "tnnlab bench training", lambda row: None)
    >>> record["status"], len(record["rows"])
    ('complete', 9)
    """
    begun = time.perf_counter()
    device = torch.device(bench.device)
    with settings(bench.threads, tf32=bench.precision == "tf32"):
        threads = torch.get_num_threads()
        each = (_row(name, config, bench, device) for name, config in candidates(bench).items())
        rows, stopped = collect(each, report)
    return make_record(
        "bench-training",
        "Training steps of language models of equal size",
        preset=preset,
        command=command,
        config={**dataclasses.asdict(bench), "threads": threads},
        device=device,
        begun=begun,
        rows=rows,
        stopped=stopped,
    )


def _row(
    name: str, config: TNNConfig, bench: TrainingBench, device: torch.device
) -> dict[str, Any]:
    row = {
        "kind": "training",
        "name": name,
        "n": bench.length,
        "batch": bench.batch,
        "width": config.width,
        "precision": bench.precision,
        "compiled": bench.compile and name != "reference",
    }
    try:
        torch.manual_seed(0)
        make = functools.partial(mamba.mamba_lm, name) if name in mamba.BLOCKS else CausalLM
        model = make(config).to(device)
        row |= {"depth": len(model.blocks), "parameters": model.num_parameters()}
        row["errors"] = _errors(name, model, bench)
        exact.require_exact(row["errors"], LIMITS[bench.precision])
        step = make_step(name, model, bench)
        found = measure(step, device, seconds=bench.seconds)
    except (AssertionError, ImportError, RuntimeError, TypeError, ValueError) as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        return {**row, "skipped": text, "wrong": isinstance(error, exact.WrongResult)}
    # Weights and AdamW's two moments are held between steps.
    held = 3 * sum(p.numel() * p.itemsize for p in model.parameters())
    return {
        **row,
        **found,
        "pass": "step",
        "peak_bytes": found["peak_bytes"] + held,
        "tokens_per_s": bench.batch * bench.length / found["time_s"],
    }


def make_step(name: str, model: CausalLM, bench: TrainingBench) -> Callable[[int], Any]:
    """One update of the model's weights; the published form keeps its logits in float32."""
    if name == "reference":
        with_reference_operators(model)
    device = next(model.parameters()).device
    data = _tokens((3, bench.batch, bench.length + 1), bench, device)
    optimizer = torch.optim.AdamW(
        model.parameter_groups(0.2), lr=1e-4, betas=(0.9, 0.98), fused=device.type == "cuda"
    )
    model.train()

    def loss(tokens: Tensor) -> Tensor:
        return _loss(name, model, tokens, precision=bench.precision)

    if bench.compile and name in mamba.BLOCKS:
        mamba.outside_the_graph(model)
    if bench.compile and name != "reference":
        loss = torch.compile(loss)

    def step(number: int) -> None:
        loss(data[number % 3]).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def _tokens(shape: tuple[int, ...], bench: TrainingBench, device: torch.device) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(bench.config.vocab_size, shape, generator=generator).to(device)


def _loss(name: str, model: CausalLM, tokens: Tensor, *, precision: str) -> Tensor:
    inputs, targets = tokens[:, :-1], tokens[:, 1:]
    with torch.autocast(tokens.device.type, dtype=torch.bfloat16, enabled=precision == "bf16"):
        if name != "reference":
            return model(inputs, targets)
        return F.cross_entropy(model(inputs).flatten(0, 1).float(), targets.flatten())


def _errors(name: str, model: CausalLM, bench: TrainingBench) -> dict[str, float]:
    """Loss and gradients of a few tokens, against the same model in float64, by definition."""
    tokens = _tokens((1, min(bench.length, 64) + 1), bench, next(model.parameters()).device)
    twin = copy.deepcopy(model).double()
    tested = copy.deepcopy(model)
    if name == "reference":
        tested = with_reference_operators(tested)
    if name in mamba.BLOCKS:
        twin = mamba.with_naive_blocks(twin)
    results = []
    for lm, precision in ((tested, bench.precision), (twin, "fp32")):
        loss = _loss(name, lm.eval(), tokens, precision=precision)
        gradients = torch.autograd.grad(loss, list(lm.parameters()))
        together = torch.cat([gradient.flatten().double() for gradient in gradients])
        results.append((loss.detach(), together))
    return {
        part: exact.relative_error(value, known.double())
        for part, value, known in zip(("loss", "gradients"), *results, strict=True)
    }
