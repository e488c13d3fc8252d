"""From a configuration to a block: operators and mixers by their names."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from tnnlab._names import nearest
from tnnlab.attention import Attention
from tnnlab.layers import GLU, GTU, TNNBlock
from tnnlab.mixers import Hyena, LinearLayer, S4Layer
from tnnlab.operators import FDTNO, RTF, S4D, SKITNO, TNO, HyenaFilter, Separable2D

if TYPE_CHECKING:
    from tnnlab.models.config import TNNConfig

OPERATORS: dict[str, Callable[..., nn.Module]] = {
    "tno": TNO,
    "fd": FDTNO,
    "ski": SKITNO,
    "rtf": RTF,
    "s4d": S4D,
    "hyena": HyenaFilter,
    "attention": Attention,
}
MIXERS: dict[str, Callable[[TNNConfig, nn.Module], nn.Module]] = {
    "gtu": lambda config, operator: GTU(config.width, operator),
    "s4": lambda config, operator: S4Layer(operator, dropout=config.dropout),
    "hyena": lambda config, operator: Hyena(config.width, operator),
    "linear": lambda config, operator: LinearLayer(operator),
}
# Fields of a configuration that go to the operators with an argument of that name.
SHARED = (
    "rpe_width",
    "rpe_depth",
    "rpe_activation",
    "rpe_norm",
    "normalize_lags",
    "decay",
    "learned_decay",
)


def make_block(config: TNNConfig, *, causal: bool, axes: int = 1) -> TNNBlock:
    """One block of the network; ``axes`` 2: for ``(batch, height, width, channels)``."""
    return TNNBlock(
        make_mixer(config, causal=causal, axes=axes),
        GLU(config.width, config.glu_width) if config.glu_width else None,
        width=config.width,
        norm=config.norm,
        pre_norm=config.pre_norm,
        dropout=config.dropout,
    )


def make_mixer(config: TNNConfig, *, causal: bool, axes: int = 1) -> nn.Module:
    """The layer that mixes positions, ``mixer(x, mask)``."""
    inner = config.expansion * config.width
    if config.operator == "attention":
        return _make(config, config.width, inner, causal=causal)
    operator = _make(config, inner, causal=causal)
    if axes == 2:
        operator = Separable2D(operator, _make(config, inner, causal=causal))
    return MIXERS[config.mixer](config, operator)


def _make(config: TNNConfig, *sizes: int, causal: bool) -> nn.Module:
    build = OPERATORS[config.operator]
    taken = inspect.signature(build).parameters
    shared = {name: getattr(config, name) for name in SHARED if name in taken}
    return build(*sizes, causal=causal, **shared, **config.operator_options)


def operator_options(operator: str) -> list[str]:
    """The options of an operator that a configuration has no field for."""
    parameters: Any = inspect.signature(OPERATORS[operator]).parameters.values()
    names = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    return [name for name in names if name not in (*SHARED, "causal")]


def check_mixer(config: TNNConfig) -> None:
    """Refuse options that the operator does not have or take, and what does not go together.

    Raises:
        ValueError: the message begins with the configuration's field.
    """
    known = operator_options(config.operator)
    for name in config.operator_options:
        if name in SHARED:
            raise ValueError(f"operator_options: {name} is a field beside operator: set it there")
        if name not in known:
            raise ValueError(
                f"operator_options: {config.operator!r} has no option {name!r}: "
                f"{nearest(str(name), known)}"
            )
    if config.operator == "attention" and config.mixer != "gtu":
        raise ValueError(
            f"mixer is 'gtu' with operator 'attention', which takes its place; got {config.mixer!r}"
        )
    if config.learned_positions and (
        config.operator != "attention" or config.operator_options.get("positions") != "none"
    ):
        raise ValueError(
            "learned_positions is for operator 'attention' with operator_options "
            "{'positions': 'none'}: elsewhere position lives in the operator; got "
            f"{config.learned_positions} with operator {config.operator!r}, options "
            f"{config.operator_options}"
        )
    if config.mixer in ("s4", "linear") and config.expansion != 1:
        raise ValueError(
            f"expansion is 1 with mixer {config.mixer!r}, which has no projection; "
            f"got {config.expansion}"
        )
    try:
        with torch.device("cpu"), torch.random.fork_rng(devices=[]), _NoMatrices():
            make_mixer(config, causal=True)
    except TypeError as error:
        raise ValueError(f"operator_options has a value of the wrong type: {error}") from error
    except ValueError as error:
        raise ValueError(f"operator {config.operator!r}: {error}") from error


class _NoMatrices(TorchFunctionMode):
    """Tensors that begin empty, as the matrices of layers do, have a shape but neither memory nor
    values. Small ones are made: arithmetic on the meta device imports torch's compiler, which takes
    seconds."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is torch.empty:
            kwargs = {**kwargs, "device": "meta"}
        if func in (nn.init.normal_, torch.Tensor.normal_):  # arithmetic, there
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)
