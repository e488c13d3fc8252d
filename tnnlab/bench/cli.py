"""``tnnlab bench operators | crossovers | tiles | training | generation``."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import sys
from pathlib import Path
from typing import Any


def add_parser(commands: Any) -> None:
    """Add ``bench`` and what it can time to the commands of ``tnnlab``."""
    command = commands.add_parser("bench", help="time operators, training or generation")
    parts = command.add_subparsers(required=True, metavar="WHAT")

    part = _part(parts, "operators", "Toeplitz products and operators, against length and channels")
    part.add_argument("--dtype", help="float32, tf32, float16 or bfloat16")
    part.add_argument("--lengths", type=int, nargs="+", metavar="N")
    part.add_argument("--channels", type=int, nargs="+", metavar="D", help="first: at all lengths")
    part.add_argument("--tokens", type=int, help="in all sequences together")

    part = _part(parts, "training", "training steps of language models of equal size")
    part.add_argument("--batch", type=int, help="sequences in a step")
    part.add_argument("--length", type=int, metavar="N", help="tokens of a sequence")
    part.add_argument("--precision", help="fp32, tf32 or bf16")
    part.add_argument("--compile", action=argparse.BooleanOptionalAction, default=None)

    part = _part(parts, "generation", "one more token by each decoder, against position")
    part.add_argument("--dtype", help="of the weights: float32 or bfloat16")
    part.add_argument("--batches", type=int, nargs="+", metavar="B", help="numbers of sequences")
    part.add_argument("--positions", type=int, nargs="+", metavar="T", help="tokens there already")
    part.add_argument("--names", nargs="+", metavar="DECODER", help="and attention; default: all")
    for switch in ("--fused", "--compile"):
        part.add_argument(switch, action=argparse.BooleanOptionalAction, default=None)

    part = _part(parts, "crossovers", "where each method of the product is the fastest")
    part.add_argument("--lengths", type=int, nargs="+", metavar="N")
    part.add_argument("--channels", type=int, metavar="D")
    part.add_argument("--tokens", type=int, help="in all sequences together")

    _part(parts, "tiles", "the GPU kernels at every size of tile")


def _part(parts: Any, name: str, text: str) -> argparse.ArgumentParser:
    part = parts.add_parser(name, help=text, description=f"Time {text}; write a JSON record.")
    part.add_argument("--preset", choices=["smoke", "cpu", "gpu"], help="default: what is there")
    part.add_argument("--device", choices=["cpu", "cuda"])
    part.add_argument("--out", type=Path, help="default: runs/bench-WHAT-PRESET.json")
    part.set_defaults(run=run, what=name)
    return part


def run(options: argparse.Namespace) -> None:
    """Time what was asked for, print a line for each result, write the record."""
    import torch

    from tnnlab.bench import crossovers, generation, operators, tiles, training
    from tnnlab.ops.crossovers import keep
    from tnnlab.results import write_record
    from tnnlab.training.errors import ConfigError

    presets, bench = {
        "operators": (operators.PRESETS, operators.bench_operators),
        "training": (training.PRESETS, training.bench_training),
        "generation": (generation.PRESETS, generation.bench_generation),
        "crossovers": (crossovers.PRESETS, crossovers.bench_crossovers),
        "tiles": (tiles.PRESETS, tiles.bench_tiles),
    }[options.what]
    preset = options.preset or ("gpu" if torch.cuda.is_available() else "cpu")
    if preset not in presets:
        raise ConfigError(f"bench {options.what} has no preset {preset!r}: take {list(presets)}")
    names = {field.name for field in dataclasses.fields(presets[preset])}
    given = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in vars(options).items()
        if key in names and value is not None
    }
    if "lengths" in given and "operator_lengths" in names:
        given["operator_lengths"] = given["lengths"]
    try:
        config: Any = dataclasses.replace(presets[preset], **given)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if config.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("there is no CUDA device: take --device cpu, or --preset cpu")
    out = options.out or Path(f"runs/bench-{options.what}-{preset}.json")
    record = bench(config, preset, repeat(options), lambda row: print(line(row), flush=True))
    write_record(out, record)
    print(f"record: {out}")
    if options.what == "crossovers" and record["status"] == "complete":
        kept = keep(torch.device(config.device), record["crossovers"])
        print(f"method='auto' goes by it from now on: {kept}")
    if record["status"] != "complete":
        print(f"tnnlab: {record['status']}: see the lines above", file=sys.stderr)


def repeat(options: argparse.Namespace) -> str:
    """The command that does the same elsewhere."""
    words = ["tnnlab", "bench", options.what]
    for key, value in vars(options).items():
        if key in ("what", "run", "out") or value is None:
            continue
        if isinstance(value, bool):
            words.append(f"--{'' if value else 'no-'}{key}")
        else:
            values = value if isinstance(value, list) else [value]
            words += [f"--{key}", *map(str, values)]
    return shlex.join(words)


def line(row: dict[str, Any]) -> str:
    """One row as a line of text."""
    if "causal" in row:
        which = "causal" if row["causal"] else "bidirectional"
    else:
        which = f"batch {row['batch']}"
    head = f"{row['kind']:10}{row['name']:13}n = {row['n']:<7}{which:15}"
    if "skipped" in row:
        return f"{head}{row['skipped']}"
    speed = f"{row['time_s'] * 1e3:10.3f} ms{row['tokens_per_s']:14,.0f} tokens/s"
    return f"{head}{row['pass']:17}{speed}{row['peak_bytes'] / 2**20:10,.1f} MiB"
