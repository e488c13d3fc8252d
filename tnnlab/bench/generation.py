"""``tnnlab bench generation``: one more token, against how many there are already."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor

from tnnlab._names import nearest
from tnnlab.bench import exact
from tnnlab.bench.positions import (
    constant_bytes,
    decoder_for,
    jump,
    refuse_states,
    score_error,
    square_times,
    with_unit_gain,
)
from tnnlab.bench.rows import Report, collect, make_record
from tnnlab.bench.timing import measure, settings
from tnnlab.convert.model import convert_model
from tnnlab.generation import Recompute, Sampler, StreamingLM
from tnnlab.generation.graph import one_token
from tnnlab.generation.online import BLOCK
from tnnlab.models import CausalLM, TNNConfig
from tnnlab.parameters import count_parameters, match_width

NAMES = ("full", "window", "etsc", "reduced", "online", "attention")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
# Largest relative error of the scores that is timed.
LIMITS = {"float32": 1e-3, "bfloat16": 1e-1}


@dataclasses.dataclass(frozen=True)
class GenerationBench:
    """What is timed: reading a token of each sequence and drawing the next, most likely one.

    Attributes:
        device: "cpu", or "cuda", where a step is a CUDA graph.
        dtype: of the weights; states are in float32.
        config: of the model; attention's is as large.
        length: n, the taps of "window", "etsc" and "reduced".
        order: states of a "reduced" channel.
        batches: numbers of sequences.
        positions: how many tokens there are already.
        fused: take the GPU kernels of ``tnnlab.generation.fused``.
        compile: fuse a step by ``torch.compile`` before it is captured.
        names: of decoders, and "attention".
        threads: of a CPU; None: as many as PyTorch takes.
        seconds: spent on each measurement.
        patience: seconds; what took longer is not timed at greater positions.
        room: bytes of states; what needs more is not timed.

    >>> PRESETS["smoke"].device
    'cpu'
    """

    device: str
    dtype: str
    config: TNNConfig
    length: int
    order: int
    batches: tuple[int, ...]
    positions: tuple[int, ...]
    fused: bool = True
    compile: bool = False
    names: tuple[str, ...] = NAMES
    threads: int | None = None
    seconds: float = 0.5
    patience: float = 0.5
    room: int = 2**31

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype is one of {', '.join(DTYPES)}; got {self.dtype!r}")
        for name in self.names:
            if name not in NAMES:
                raise ValueError(f"there is no decoder {name!r} to time: {nearest(name, NAMES)}")
        if not self.batches or not self.positions or min(*self.batches, *self.positions) < 1:
            raise ValueError(
                "batches and positions are at least 1, and there is at least one of each; "
                f"got {self.batches} and {self.positions}"
            )
        if not 1 <= self.order < self.length:
            raise ValueError(f"order is 1 … length - 1; got {self.order} and {self.length}")


PRESETS = {
    "smoke": GenerationBench(
        "cpu", "float32", TNNConfig(97, 2, 32, 1, 32), 32, 4, (1,), (1, 64), threads=1, seconds=0.01
    ),
    "cpu": GenerationBench(
        "cpu",
        "float32",
        TNNConfig(257, depth=4, width=256, expansion=1, glu_width=256),
        length=512,
        order=32,
        batches=(1, 8),
        positions=(1, 64, 512, 4096, 16384, 65536),
        threads=1,
    ),
    "gpu": GenerationBench(
        "cuda",
        "bfloat16",
        TNNConfig.wikitext103(),
        length=512,
        order=32,
        batches=(1, 64),
        positions=(1, 64, 512, 2048, 8192, 16384, 32768, 65536),
        room=2**36,
    ),
}


def bench_generation(bench: GenerationBench, preset: str, command: str, report: Report) -> Any:
    """Run it all; ``report`` is given each row as it comes.

    Returns:
        the record, as :func:`tnnlab.results.write_record` takes it.

    >>> bench = dataclasses.replace(PRESETS["smoke"], names=("window",), positions=(1,))
    >>> record = bench_generation(bench, "smoke", "tnnlab bench generation", lambda row: None)
    >>> record["status"], len(record["rows"])
    ('complete', 1)
    """
    begun = time.perf_counter()
    device = torch.device(bench.device)
    with settings(bench.threads, tf32=False), torch.no_grad():
        threads = torch.get_num_threads()
        each = (row for name in bench.names for row in _rows(name, bench, device))
        rows, stopped = collect(each, report)
    return make_record(
        "bench-generation",
        "One more token: time and memory against position",
        preset=preset,
        command=command,
        config={**dataclasses.asdict(bench), "threads": threads},
        device=device,
        begun=begun,
        rows=rows,
        stopped=stopped,
    )


def _rows(name: str, bench: GenerationBench, device: torch.device) -> Any:
    torch.manual_seed(0)
    model = with_unit_gain(CausalLM(_config(name, bench.config))).to(device, DTYPES[bench.dtype])
    head = {
        "kind": "token",
        "name": name,
        "dtype": bench.dtype,
        "parameters": model.num_parameters(),
        "weight_bytes": sum(p.nbytes for p in model.parameters()),
    }
    if name == "reduced":
        model = convert_model(model, "reduced", length=bench.length, order=bench.order)
    head["errors"] = {"scores": score_error(name, model, bench.length)}
    for batch in bench.batches:
        slow, timed = "", _timer(name, model, bench, batch)
        for position in bench.positions:
            row = {**head, "n": position, "batch": batch, "pass": "token"}
            try:
                exact.require_exact(head["errors"], LIMITS[bench.dtype])
                if slow:
                    raise ValueError(slow)
                found = timed(position)
                if found["time_s"] > bench.patience:
                    slow = f"took {found['time_s']:.2f} s at position {position}"
                yield {**row, **found, "tokens_per_s": batch / found["time_s"]}
            except (RuntimeError, ValueError) as error:
                text = str(error).splitlines()[0]
                yield {**row, "skipped": text, "wrong": isinstance(error, exact.WrongResult)}
        del timed
        if device.type == "cuda":
            torch.cuda.empty_cache()


def _config(name: str, config: TNNConfig) -> TNNConfig:
    if name != "attention":
        return config
    attention = dataclasses.replace(config, operator="attention", expansion=1)
    return match_width(
        attention, count_parameters(config), multiple=64 if config.width > 64 else 16
    )


def _timer(
    name: str, model: CausalLM, bench: GenerationBench, batch: int
) -> Callable[[int], dict[str, Any]]:
    """Measures one more token at a position. What a decoder holds is the same at all of them, but
    for inputs that "online" keeps and places that attention has: these are made anew for each."""
    device = torch.device(bench.device)
    vocabulary = bench.config.vocab_size
    if name == "full":
        whole = cast(Recompute, decoder_for(name, model, bench.length)).model

        def read_again(position: int) -> dict[str, Any]:
            tokens = torch.randint(vocabulary, (3, batch, position + 1), device=device)
            found = measure(lambda i: whole.next_logits(tokens[i % 3]).argmax(-1), device)
            return {**found, "state_bytes": tokens[0].nbytes, "constant_bytes": 0}

        return read_again

    tokens = torch.randint(vocabulary, (3, batch), device=device)

    def prepared(places: int) -> tuple[StreamingLM, Callable[[Tensor], Tensor]]:
        decoder = cast(StreamingLM, decoder_for(name, model, places))
        refuse_states(decoder, 1, batch, bench.room)
        options = {"fused": bench.fused, "compile": bench.compile}
        return decoder, one_token(decoder, Sampler(temperature=0), batch, **options)

    once: list[tuple[StreamingLM, Callable[[Tensor], Tensor]]] = []

    def one_more(position: int) -> dict[str, Any]:
        position += position % BLOCK == 0  # inside a block: between two is timed by itself
        if name == "attention":
            # It looks at all the places that it has; making a graph takes four.
            decoder, step = prepared(max(position + 1, 4))
        else:
            once[:] = once or [prepared(bench.length)]
            decoder, step = once[0]
            refuse_states(decoder, position, batch, bench.room)
        jump(decoder, position, batch)

        def call(number: int) -> Tensor:
            decoder.seen = position
            return step(tokens[number % 3])

        found = measure(call, device, seconds=bench.seconds)
        if name == "online":
            squares = square_times(decoder, position, bench.seconds / 10)
            # A square with so many inputs comes once in twice as many tokens.
            found["step_s"], found["squares_s"] = found["time_s"], squares
            found["time_s"] += sum(seconds / (2 * int(size)) for size, seconds in squares.items())
        sizes = {"state_bytes": decoder.state_bytes(), "constant_bytes": constant_bytes(decoder)}
        return {**found, **sizes}

    return one_more
