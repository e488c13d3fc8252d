"""``tnnlab generate`` and ``tnnlab convert``."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch

from tnnlab._extras import require
from tnnlab._files import atomic_folder
from tnnlab.convert.model import convert_model, load_language_model
from tnnlab.data import load_tokenizer_from
from tnnlab.generation.loop import stream
from tnnlab.generation.text import TextStream
from tnnlab.models import CausalLM
from tnnlab.training.errors import ConfigError


def generate(options: argparse.Namespace, folder: Path) -> None:
    """Print a prompt and its continuation, as it is drawn.

    Raises:
        ConfigError: an option that cannot work.
    """
    try:
        _generate(options, folder)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _generate(options: argparse.Namespace, folder: Path) -> None:
    model = load_language_model(folder, device())
    tokenizer = load_tokenizer_from(folder)
    text = TextStream(tokenizer, options.stop)
    tokens = stream(
        model,
        [tokenizer.encode(options.prompt).tolist() or [tokenizer.end_of_text]],
        max_new_tokens=options.max_new_tokens,
        decoder=options.decoder,
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
        stop_tokens=[tokenizer.end_of_text],
        seed=options.seed,
        length=options.length,
        order=options.order,
        tolerance=options.tolerance,
    )
    write(options.prompt)
    # Where the text itself can be watched, a bar would be in its way.
    hidden = sys.stdout.isatty() or not sys.stderr.isatty()
    bar = require("tqdm", "train").tqdm(total=options.max_new_tokens, unit="token", disable=hidden)
    with bar:
        for (token,) in tokens:
            bar.update()
            if token is None or token == tokenizer.end_of_text:
                break
            write(text.feed(token))
            if text.stopped:
                break
    write(text.flush() + "\n")


def device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def write(text: str) -> None:
    print(text, end="", flush=True)


def convert(options: argparse.Namespace, folder: Path) -> None:
    """Write a converted model and its tokenizer, all or nothing.

    Raises:
        ConfigError: an option that cannot work; nothing was written.
    """
    length = trained_length(options.folder) if options.length is None else options.length
    if length is None:
        raise ConfigError(
            f"{options.folder} does not say at which length its model was trained: give --length, "
            "the number of taps to convert"
        )
    if options.out.exists():
        raise ConfigError(f"{options.out} exists: choose another --out")
    try:
        model = CausalLM.from_pretrained(folder, device())
        converted = convert_model(
            model,
            options.method,
            length=length,
            order=options.order,
            tolerance=options.tolerance,
            report=lambda row: print(line(row), flush=True),
        )
    except ValueError as error:
        raise ConfigError(str(error)) from error
    with atomic_folder(options.out) as out:
        converted.save_pretrained(out)
        load_tokenizer_from(folder).save(out)
    print(f"model: {options.out}")


def line(row: dict[str, Any]) -> str:
    """The report of a layer as a line of text."""
    text = f"layer {row['layer']:2}: {row['states']:5} states ({row['form']})"
    if "bound" in row:
        text += f", used {row['orders']['mean']:.1f}, bound {row['bound']['max']:.1e}"
    return f"{text}, taps within {row['tap_error']:.1e} of the largest"


def trained_length(folder: Path) -> int | None:
    """The length that a run or a checkpoint was trained at; None where the folder does not say."""
    for name, keys in (
        ("result.json", ("config", "data", "length")),
        ("config.json", ("data", "length")),
    ):
        if not (folder / name).is_file():
            continue
        value = json.loads((folder / name).read_text(encoding="utf-8"))
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        if isinstance(value, int):
            return value
    return None
