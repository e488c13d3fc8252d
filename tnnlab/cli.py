"""``tnnlab train | generate | bench | recipes | results``."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tnnlab
from tnnlab.bench.cli import add_parser as add_bench
from tnnlab.training.errors import ConfigError, Interrupted, TrainingStopped


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        the exit code: 0; 1 where something failed; 2 where what was asked for cannot work (nothing
        was started); 130 after Ctrl-C.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if arguments[:1] == ["train"]:
            train(arguments[1:])
        else:
            options = command_parser().parse_args(arguments)
            options.run(options)
    except Interrupted as error:
        return fail(error, 130)
    except KeyboardInterrupt:
        return fail("interrupted", 130)
    except ConfigError as error:
        return fail(error, 2)
    except (TrainingStopped, OSError, ImportError) as error:
        return fail(error, 1)
    return 0


def fail(error: object, code: int) -> int:
    print(f"tnnlab: {error}", file=sys.stderr)
    return code


def command_parser() -> argparse.ArgumentParser:
    """All commands but ``train``, whose options are the fields of a run's configuration."""
    parser = argparse.ArgumentParser(prog="tnnlab", description="Toeplitz neural networks")
    parser.add_argument("--version", action="version", version=f"tnnlab {tnnlab.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    text = "train a model: tnnlab train RECIPE [--preset NAME] [--model.depth 4 …]"
    commands.add_parser("train", help=text)

    command = commands.add_parser("generate", help="continue a text with a trained model")
    command.add_argument("folder", type=Path, help="of a run, of its model, or of a checkpoint")
    command.add_argument("--prompt", default="", help='text to continue; "": begin a document')
    command.add_argument("--max-new-tokens", type=int, default=256, metavar="N")
    command.add_argument("--temperature", type=float, default=0.8, help="0: most likely token")
    command.add_argument("--top-k", type=int, metavar="K", help="draw among the K most likely")
    command.add_argument("--seed", type=int, help="the same seed draws the same text")
    command.set_defaults(run=generate)

    add_bench(commands)

    command = commands.add_parser("recipes", help="list recipes and their presets")
    command.set_defaults(run=recipes)

    command = commands.add_parser("results", help="print a table of result records")
    default = [Path("data/results"), Path("runs")]
    command.add_argument("folders", nargs="*", type=Path, default=default, metavar="FOLDER")
    command.set_defaults(run=results)
    return parser


def train(arguments: Sequence[str]) -> None:
    """``tnnlab train RECIPE …``: a recipe, a preset, options for single keys."""
    from tnnlab.training.recipes import FULL, config_parser, parse_options, read_recipe

    parser = config_parser(
        prog="tnnlab train",
        description="Train a model by a recipe (see `tnnlab recipes`, or a path to a YAML file).",
    )
    parser.add_argument("recipe", help="name of a recipe, or path to a YAML file")
    parser.add_argument("--out", help="folder of the run; default: runs/NAME or runs/NAME-PRESET")
    parser.add_argument("--resume", action="store_true", help="go on from its newest checkpoint")
    given = parse_options(parser, arguments)
    recipe, preset = given.pop("recipe"), given.pop("preset", FULL)
    out, resume = given.pop("out", None), given.pop("resume", False)
    config = read_recipe(recipe, preset=preset, overrides=given.as_dict())
    default = config.name if preset == FULL else f"{config.name}-{preset}"

    from tnnlab.training.loop import train as run

    out = Path(out or f"runs/{default}")
    run(config, out, resume=resume, command=repeat(arguments))
    print(f"model: {out / 'model'}   record: {out / 'result.json'}")
    print(f"draw from it: tnnlab generate {shlex.quote(str(out))} --prompt 'def '")


def repeat(arguments: Sequence[str]) -> str:
    """The command that makes the same run elsewhere: without its folder and ``--resume``."""
    kept: list[str] = []
    skip = False
    for argument in arguments:
        if not (skip or argument in ("--out", "--resume") or argument.startswith("--out=")):
            kept.append(argument)
        skip = argument == "--out"
    return shlex.join(["tnnlab", "train", *kept])


def generate(options: argparse.Namespace) -> None:
    """``tnnlab generate FOLDER``: print a prompt and its continuation."""
    import torch

    from tnnlab.data import load_tokenizer_from
    from tnnlab.generation import sample
    from tnnlab.models import CausalLM

    folder = model_folder(options.folder)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        model = CausalLM.from_pretrained(folder, device=device)
        tokenizer = load_tokenizer_from(folder)
        prompt = tokenizer.encode(options.prompt).tolist() or [tokenizer.end_of_text]
        tokens = sample(
            model,
            torch.tensor([prompt], device=device),
            max_new_tokens=options.max_new_tokens,
            temperature=options.temperature,
            top_k=options.top_k,
            seed=options.seed,
        )
    except ValueError as error:
        raise ConfigError(str(error)) from error
    new = tokens[0, len(prompt) :].tolist()
    if tokenizer.end_of_text in new:
        new = new[: new.index(tokenizer.end_of_text)]
    print(tokenizer.decode(tokenizer.encode(options.prompt).tolist() + new))


def model_folder(folder: Path) -> Path:
    """The model in the folder of a run or of a checkpoint, or the folder itself.

    Raises:
        ConfigError: there is none.
    """
    for place in (folder / "model", folder):
        if (place / "model.safetensors").is_file():
            return place
    checkpoints = sorted(folder.glob("checkpoints/step-*"))
    hint = (
        f"its run is not finished; its newest checkpoint can be used: {checkpoints[-1]}"
        if checkpoints
        else "give the folder of a run (runs/lm-stdlib), of a checkpoint, or of a saved model"
    )
    raise ConfigError(f"{folder} holds no model: {hint}")


def recipes(options: argparse.Namespace) -> None:
    """``tnnlab recipes``: names, titles and presets."""
    from tnnlab.training.recipes import FULL, load_recipe, recipe_names

    for name in recipe_names():
        recipe = load_recipe(name)
        presets = ", ".join([FULL, *recipe["presets"]])
        print(f"{name}\n  {recipe['title']}\n  presets: {presets}")


def results(options: argparse.Namespace) -> None:
    """``tnnlab results [FOLDER …]``: one line for each record."""
    from tnnlab.results import load_records, table

    records: list[dict[str, Any]] = []
    for folder in options.folders:
        try:
            records += load_records(folder)
        except ValueError as error:
            raise ConfigError(str(error)) from error
    where = ", ".join(str(folder) for folder in options.folders)
    print(table(records) or f"no result records in {where}: `tnnlab train` writes them into runs/")
