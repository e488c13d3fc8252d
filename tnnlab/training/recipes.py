"""Recipes: YAML files that describe a run, checked key by key before anything starts.

A recipe is a file of this package (``lm-stdlib``) or any path to one. Its keys are the fields of
:class:`tnnlab.training.RunConfig`, or of the class that its ``kind`` names; ``presets`` holds
partial overrides by name. What a command line says comes last. Types are checked by jsonargparse.
"""

import argparse
import functools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tnnlab._extras import require
from tnnlab._names import nearest
from tnnlab.training.config import RunConfig, refuse_unknown, run_class
from tnnlab.training.errors import ConfigError

FOLDER = Path(__file__).parents[1] / "recipes"
FULL = "full"


def recipe_names() -> list[str]:
    """The recipes that come with the package.

    >>> "lm-stdlib" in recipe_names()
    True
    """
    return yaml_names(FOLDER)


def yaml_names(folder: Path) -> list[str]:
    """The YAML files of a folder, without their ending."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def read_yaml(kind: str, name: str, folder: Path) -> tuple[Path, Any]:
    """A file of the package by its name, or any by its path, and what it holds.

    Raises:
        ConfigError: there is none, or it is no YAML.
    """
    yaml = require("yaml", "train")
    path = Path(name) if name.endswith((".yaml", ".yml")) else folder / f"{name}.yaml"
    try:
        return path, yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        hint = nearest(name, yaml_names(folder))
        message = f"there is no {kind} {name}: {hint} (a path ends in .yaml)"
        raise ConfigError(message) from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is no valid YAML: {error}") from error


def load_recipe(recipe: str) -> dict[str, Any]:
    """The contents of a recipe, unchecked.

    Args:
        recipe: a name among :func:`recipe_names`, or a path to a YAML file.

    Raises:
        ConfigError: there is no such recipe, or it is no YAML mapping.
    """
    path, values = read_yaml("recipe", recipe, FOLDER)
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds no keys")
    values.setdefault("kind", RunConfig.kind)
    presets = values.setdefault("presets", {})
    if not isinstance(presets, dict) or FULL in presets or "preset" in values:
        raise ConfigError(
            f"{path}: presets is a mapping of names, other than {FULL!r} (the recipe itself), to "
            "the keys that each changes; which of them is used is said by --preset"
        )
    return values


def read_recipe(
    recipe: str, *, preset: str = FULL, overrides: Mapping[str, Any] | None = None
) -> RunConfig:
    """A recipe, changed by a preset, changed by overrides, as a checked configuration.

    Args:
        recipe: name or path.
        preset: "full" (nothing changed) or a key of the recipe's ``presets``.
        overrides: what else to change, nested as in the recipe: ``{"model": {"depth": 4}}``.

    Raises:
        ConfigError: an unknown recipe, preset or key (the message has the nearest name), a value
            of the wrong type, settings that cannot work together.

    >>> config = read_recipe("lm-stdlib", overrides={"training": {"steps": 10, "warmup": 0}})
    >>> config.name, config.training.steps
    ('lm-stdlib', 10)
    """
    values = load_recipe(recipe)
    run, presets = run_class(values.pop("kind")), {FULL: {}, **values.pop("presets")}
    check_keys(values, recipe, run)
    for name, changes in presets.items():
        check_keys(changes, f"{recipe}, preset {name}", run)
    if preset not in presets:
        raise ConfigError(f"{recipe} has no preset {preset!r}: {nearest(preset, presets)}")
    check_keys(overrides or {}, "overrides", run)
    return build(merge(values, presets[preset], overrides or {}, {"preset": preset}), run)


def recipe_kind(recipe: str) -> type[RunConfig]:
    """The class of the runs that a recipe describes; ConfigError as for :func:`load_recipe`."""
    return run_class(load_recipe(recipe)["kind"])


def config_parser(run: type[RunConfig], **settings: Any) -> Any:
    """A jsonargparse parser with an option for every field of a run."""
    jsonargparse = require("jsonargparse", "train")
    parser = jsonargparse.ArgumentParser(exit_on_error=False, allow_abbrev=False, **settings)
    parser.add_class_arguments(run)
    return parser


# A tenth of a second each, and a sweep checks a run for every member.
_parser = functools.cache(config_parser)


def parse_options(parser: Any, arguments: Sequence[str]) -> Any:
    """The options that were given, and only those; ConfigError if one is unknown or ill-typed."""
    known = [option for action in parser._actions for option in action.option_strings]
    for argument in arguments:
        option = argument.split("=")[0]
        if option.startswith("--") and len(option) > 2 and option not in known:
            raise ConfigError(f"unknown option {option}: {nearest(option, known)}")
    try:
        return parser.parse_args(list(arguments), defaults=False)
    except argparse.ArgumentError as error:
        raise ConfigError(one_line(error)) from error


def build(values: Mapping[str, Any], run: type[RunConfig]) -> RunConfig:
    """Check types through jsonargparse, and ranges through the dataclasses."""
    parser = _parser(run)
    try:
        return run(**vars(parser.instantiate(parser.parse_object(dict(values)))))
    except argparse.ArgumentError as error:
        raise ConfigError(one_line(error)) from error
    except ConfigError:
        raise
    except ValueError as error:  # of the model's configuration
        raise ConfigError(f"model.{error}") from error


def check_keys(values: Any, where: str, run: type[RunConfig]) -> None:
    """Refuse unknown keys of a recipe or of one of its presets."""
    try:
        if not isinstance(values, Mapping):
            raise ConfigError(f"it holds no keys but {values!r}")
        refuse_unknown(values, run)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def merge(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Nested dictionaries laid over each other; the last one that has a key decides it."""
    merged: dict[str, Any] = {}
    for layer in layers:
        # Options are those of an operator: another one begins without them.
        if layer.get("operator", merged.get("operator")) != merged.get("operator"):
            merged.pop("operator_options", None)
        for key, value in layer.items():
            old = merged.get(key)
            nested = isinstance(old, Mapping) and isinstance(value, Mapping)
            merged[key] = merge(old, value) if nested else value  # pyright: ignore
    return merged


def one_line(error: BaseException) -> str:
    """A parser's message, shortened: ``training.steps: Expected int. Got value: many``."""
    text = " ".join(str(error).split())
    text = re.sub(r'Parser key "([^"]+)"', r"\1", text)
    return re.sub(r"(?:a )?<class '(\w+)'>", r"\1", text)
