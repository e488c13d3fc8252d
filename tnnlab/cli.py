"""``tnnlab train | sweep | generate | convert | bench | recipes | results``."""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tnnlab
from tnnlab._extras import require
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

    text = "train several models, and keep their records: tnnlab sweep FILE"
    command = commands.add_parser("sweep", help=text, description=text)
    command.add_argument("sweep", help="name of a sweep, or path to a YAML file")
    command.add_argument("--out", type=Path, help="default: runs/sweeps/NAME")
    command.add_argument("--jobs", type=int, default=1, metavar="N", help="members at a time")
    command.add_argument("--only", nargs="+", metavar="MEMBER", help="patterns; default: all")
    command.set_defaults(run=sweep)

    command = commands.add_parser("generate", help="continue a text with a trained model")
    command.add_argument("folder", type=Path, help="of a run, of its model, or of a checkpoint")
    command.add_argument("--prompt", default="", help='text to continue; "": begin a document')
    command.add_argument("--max-new-tokens", type=int, default=256, metavar="N")
    command.add_argument("--temperature", type=float, default=0.8, help="0: most likely token")
    command.add_argument("--top-k", type=int, metavar="K", help="draw among the K most likely")
    command.add_argument("--top-p", type=float, metavar="P", help="… that have probability P")
    command.add_argument("--stop", action="append", default=[], metavar="TEXT", help="ends before")
    command.add_argument("--seed", type=int, help="the same seed draws the same text")
    text = (
        "full, window, etsc, reduced or online: how the model remembers (window; or as converted)"
    )
    command.add_argument("--decoder", help=text)
    _conversion(command, "taps of a kernel; default: as many as the text can need")
    command.set_defaults(run=generate)

    text = "make state spaces of a model's long convolutions"
    command = commands.add_parser("convert", help=text, description=text)
    command.add_argument("folder", type=Path, help="of a run, of its model, or of a checkpoint")
    text = "etsc: exact, as many states as taps; reduced: few states"
    command.add_argument("--method", required=True, choices=["etsc", "reduced"], help=text)
    _conversion(command, "taps to convert; default: the length that the run was trained at")
    command.add_argument("--out", type=Path, required=True, help="a new folder for the model")
    command.set_defaults(run=convert)

    add_bench(commands)

    command = commands.add_parser("recipes", help="list recipes and their presets")
    command.set_defaults(run=recipes)

    command = commands.add_parser("results", help="print a table of result records")
    default = [Path("data/results"), Path("runs")]
    command.add_argument("folders", nargs="*", type=Path, default=default, metavar="FOLDER")
    command.set_defaults(run=results)
    return parser


def _conversion(command: argparse.ArgumentParser, length: str) -> None:
    command.add_argument("--length", type=int, metavar="N", help=length)
    text = "states of each channel (reduced)"
    command.add_argument("--order", type=int, metavar="STATES", help=text)
    text = "error bound of a channel, relative to its largest frequency response (reduced)"
    command.add_argument("--tolerance", type=float, metavar="T", help=text)


def train(arguments: Sequence[str]) -> None:
    """``tnnlab train RECIPE …``: a recipe, a preset, options for single keys."""
    from tnnlab.training.config import RunConfig
    from tnnlab.training.recipes import (
        FULL,
        config_parser,
        parse_options,
        read_recipe,
        recipe_kind,
    )

    # Which options there are is said by the recipe, which stands first.
    named = bool(arguments) and not arguments[0].startswith("-")
    parser = config_parser(
        recipe_kind(arguments[0]) if named else RunConfig,
        prog="tnnlab train",
        description="Train a model by a recipe (see `tnnlab recipes`, or a path to a YAML file).",
    )
    parser.add_argument("recipe", help="name of a recipe, or path to a YAML file: comes first")
    parser.add_argument("--out", help="folder of the run; default: runs/NAME or runs/NAME-PRESET")
    parser.add_argument("--resume", action="store_true", help="go on from its newest checkpoint")
    try:
        given = parse_options(parser, arguments)
    except ConfigError as error:
        if named:
            raise
        raise ConfigError(f"{error} (the recipe comes first: tnnlab train RECIPE …)") from error
    recipe, preset = given.pop("recipe"), given.pop("preset", FULL)
    out, resume = given.pop("out", None), given.pop("resume", False)
    config = read_recipe(recipe, preset=preset, overrides=given.as_dict())
    default = config.name if preset == FULL else f"{config.name}-{preset}"

    from tnnlab.training.loop import train as run

    out = Path(out or f"runs/{default}")
    run(config, out, resume=resume, command=repeat(arguments))
    processes = require("accelerate", "train").PartialState()
    if processes.is_main_process:  # one of several speaks for all
        print(f"model: {out / 'model'}   record: {out / 'result.json'}")
        if config.kind == RunConfig.kind:
            print(f"draw from it: tnnlab generate {shlex.quote(str(out))} --prompt 'def '")
    processes.destroy_process_group()


def sweep(options: argparse.Namespace) -> None:
    """``tnnlab sweep FILE``: each member is a run of its own process."""
    from tnnlab.training.sweeps import read_sweep, run_sweep

    members = read_sweep(options.sweep, only=options.only)
    out = options.out or Path("runs/sweeps") / Path(options.sweep).stem
    failed = run_sweep(members, out, jobs=options.jobs, report=lambda text: print(text, flush=True))
    print(f"records: {out / 'records'}")
    if failed:
        raise TrainingStopped(f"{len(failed)} of {len(members)} failed: {', '.join(failed)}")


def repeat(arguments: Sequence[str]) -> str:
    """The command that makes the same run elsewhere: without its folder and ``--resume``, and with
    as many processes."""
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # of torchrun, accelerate launch
    launch = ["torchrun", "--nproc_per_node", str(processes), "-m"] if processes > 1 else []
    kept: list[str] = []
    skip = False
    for argument in arguments:
        if not (skip or argument in ("--out", "--resume") or argument.startswith("--out=")):
            kept.append(argument)
        skip = argument == "--out"
    return shlex.join([*launch, "tnnlab", "train", *kept])


def generate(options: argparse.Namespace) -> None:
    """``tnnlab generate FOLDER``: print a prompt and its continuation."""
    from tnnlab.generation.command import generate as run

    run(options, model_folder(options.folder))


def convert(options: argparse.Namespace) -> None:
    """``tnnlab convert FOLDER``: write a model whose long convolutions are state spaces."""
    from tnnlab.generation.command import convert as run

    run(options, model_folder(options.folder))


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
