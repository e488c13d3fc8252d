"""``python -m tnnlab.widgets.export RUN``: a training run as the network of `Writer.load`.

It converts the run's model to few states, rounds the weights, evaluates each step on held-out
text, and writes the packed model with a record beside it (the same name, ``.json``).
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from tnnlab._files import atomic_file
from tnnlab.convert.model import convert_model
from tnnlab.data import evaluation_windows, load_corpus, load_tokenizer_from, tokenize
from tnnlab.models import CausalLM
from tnnlab.results import RUN, provenance, write_record
from tnnlab.training.evaluation import token_losses
from tnnlab.widgets.packed import pack, unpack
from tnnlab.widgets.writer import STORED, page_bytes

KEPT = ("name", "command", "seed", "parameters", "steps", "tokens_seen", "wall_time_s")


def export(
    run: Path, out: Path = STORED, *, order: int = 16, tokens: int = 2**16
) -> dict[str, Any]:
    """Write the packed model of a run, and its record.

    Args:
        run: folder of a finished `tnnlab train`, of a byte-level model that
            :func:`tnnlab.widgets.packed.pack` takes.
        out: the file to write; ``.json`` in place of its suffix is the record.
        order: real numbers of state in each channel.
        tokens: how many held-out ones to evaluate on.

    Returns:
        the record: of the run, of the conversion and of the packing, with ``loss_per_token`` in
        nats on the same held-out tokens after each, and ``bytes`` of the file and in the page.

    Raises:
        FileNotFoundError: the run is not finished.
        ValueError: a model that cannot be packed.
    """
    of_run = json.loads((run / RUN).read_text(encoding="utf-8"))
    data, length = of_run["config"]["data"], of_run["config"]["data"]["length"]
    model = CausalLM.from_pretrained(run / "model")
    tokenizer = load_tokenizer_from(run / "model")
    converted = convert_model(model, "reduced", length=length, order=order)
    packed = pack(converted, tokenizer)
    corpus = load_corpus(data["corpus"], data["path"])
    held_out = tokenize(corpus, tokenizer, "validation").tokens[: tokens + 1]
    models = {"trained": model, "converted": converted, "packed": unpack(packed)}
    record = {
        "name": "writer",
        "provenance": provenance(),
        "run": {key: of_run[key] for key in KEPT} | {"provenance": of_run["provenance"]},
        "length": length,
        "order": order,
        "conversion": converted.report,
        "held_out_tokens": len(held_out) - 1,
        "loss_per_token": {name: loss(lm, held_out, length) for name, lm in models.items()},
        "bytes": {"file": len(packed), "page": page_bytes(packed)},
    }
    with atomic_file(out) as part:
        part.write_bytes(packed)
    write_record(out.with_suffix(".json"), record)
    return record


@torch.no_grad()
def loss(model: CausalLM, tokens: Any, length: int) -> float:
    """Nats per token, in windows of the trained length."""
    total, count = 0.0, 0
    for inputs, targets, mask in evaluation_windows(tokens, length=length, batch_size=16):
        total += float(token_losses(model.eval()(inputs), targets)[mask].sum())
        count += int(mask.sum())
    return total / count


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tnnlab.widgets.export", description=__doc__)
    parser.add_argument("run", type=Path, help="folder of a finished tnnlab train")
    parser.add_argument("out", type=Path, nargs="?", default=STORED, help="default: %(default)s")
    parser.add_argument("--order", type=int, default=16, help="states a channel (default: 16)")
    options = parser.parse_args(arguments)
    try:
        record = export(options.run, options.out, order=options.order)
    except (ValueError, FileNotFoundError) as error:
        parser.error(str(error))
    for name, value in record["loss_per_token"].items():
        print(f"{name:9} {value:.4f} nats per token")
    for name, value in record["bytes"].items():
        print(f"{name:9} {value:,} bytes")
    print(f"model: {options.out}, record: {options.out.with_suffix('.json')}")


if __name__ == "__main__":
    main()
