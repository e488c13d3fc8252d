"""A language model whose long convolutions are state spaces."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from tnnlab._files import atomic_file
from tnnlab.convert.etsc import ETSC
from tnnlab.convert.one import convert_operator
from tnnlab.convert.systems import DiagonalSSM, StateSpace
from tnnlab.layers import TNNBlock
from tnnlab.models import CausalLM, TNNConfig
from tnnlab.pretrained import CONFIG_NAME

REPORT_NAME = "conversion.json"


@dataclass(frozen=True)
class ConvertedConfig(TNNConfig):
    """The shape of a converted model.

    Attributes:
        method: "etsc" or "reduced".
        length: how many taps of each kernel were converted.
        order, tolerance: what was asked for, of "reduced".
        systems: of each layer, its ``form`` ("etsc", "diagonal" or "full"), ``channels`` and
            ``states`` (complex ones, unless it is "full"), and of "etsc" the ``period``.

    >>> ConvertedConfig(vocab_size=257, method="reduced", length=64, order=8).order
    8
    """

    method: str = "etsc"
    length: int = 512
    order: int | None = None
    tolerance: float | None = None
    systems: list[dict[str, Any]] = field(default_factory=list, hash=False)


class ConvertedLM(CausalLM):
    """A :class:`tnnlab.models.CausalLM` whose operators are state spaces: constants, no parameters.

    It computes in parallel by the systems' kernels, as any model does, and can be saved, loaded
    and evaluated like one. It generates by its states (:func:`tnnlab.generation.generate`).

    >>> model = CausalLM(TNNConfig(vocab_size=257, depth=1, width=32, glu_width=32)).eval()
    >>> converted = convert_model(model, "etsc", length=64)
    >>> tokens = torch.randint(257, (1, 64))
    >>> torch.allclose(converted(tokens), model(tokens), atol=1e-3)
    True
    """

    config_class = ConvertedConfig
    config: ConvertedConfig

    def __init__(self, config: ConvertedConfig) -> None:
        super().__init__(config)
        for mixer, shape in zip(_mixers(self), config.systems, strict=True):
            mixer.operator = _empty(**shape).to(self.embedding.weight.dtype)
        self.report: list[dict[str, Any]] = []

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """As every model; with the report of the conversion in ``conversion.json``."""
        super().save_pretrained(folder)
        text = json.dumps(self.report, indent=2, allow_nan=False)
        with atomic_file(Path(folder) / REPORT_NAME) as path:
            path.write_text(text + "\n", encoding="utf-8")

    @classmethod
    def from_pretrained(
        cls, folder: str | os.PathLike[str], device: torch.device | str = "cpu"
    ) -> "ConvertedLM":
        model = super().from_pretrained(folder, device)
        path = Path(folder) / REPORT_NAME
        if path.is_file():
            model.report = json.loads(path.read_text(encoding="utf-8"))
        return model


def convert_model(
    model: CausalLM,
    method: str,
    *,
    length: int,
    order: int | None = None,
    tolerance: float | None = None,
    report: Callable[[dict[str, Any]], None] | None = None,
) -> ConvertedLM:
    """A model with each long convolution as a state space.

    Args:
        model: of any causal operator with a kernel, in any mixer; it is not touched.
        method, length, order, tolerance: as for :func:`tnnlab.convert.convert_operator`.
        report: is given the report of each layer as it comes.

    Returns:
        the converted model in evaluation mode, on the model's device, in its precision, with
        ``report``: a dictionary for each layer.

    Raises:
        ValueError: the model was converted before, or the conversion refuses.

    >>> model = CausalLM(TNNConfig(vocab_size=257, depth=1, width=32, glu_width=32))
    >>> converted = convert_model(model, "reduced", length=64, order=8)
    >>> [layer["orders"]["mean"] for layer in converted.report]
    [8.0]
    """
    if isinstance(model, ConvertedLM):
        raise ValueError(
            f"this model was converted by {model.config.method!r}: convert the original"
        )
    systems, rows = [], []
    for layer, mixer in enumerate(_mixers(model)):
        operator = getattr(mixer, "operator", mixer)
        system, found = convert_operator(
            operator, method, length=length, order=order, tolerance=tolerance
        )
        systems.append(system)
        rows.append({"layer": layer, **found})
        if report is not None:
            report(rows[-1])
    config = ConvertedConfig(
        **asdict(model.config),
        method=method,
        length=length,
        order=order,
        tolerance=tolerance,
        systems=[_shape(system) for system in systems],
    )
    converted = ConvertedLM(config).to(model.embedding.weight)
    for mixer, system in zip(_mixers(converted), systems, strict=True):
        mixer.operator = system
    names = converted.state_dict()
    shared = {name: value for name, value in model.state_dict().items() if name in names}
    kept = {name: value for name, value in names.items() if ".operator." in name}
    converted.load_state_dict({**shared, **kept})
    converted.report = rows
    return converted.eval()


def load_language_model(
    folder: str | os.PathLike[str], device: torch.device | str = "cpu"
) -> CausalLM:
    """A causal language model, converted or not, from ``save_pretrained``'s folder.

    Raises:
        FileNotFoundError, ValueError: as :meth:`~tnnlab.pretrained.Pretrained.from_pretrained`.

    >>> import tempfile
    >>> model = CausalLM(TNNConfig(vocab_size=257, depth=1, width=32, glu_width=32))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     convert_model(model, "etsc", length=64).save_pretrained(folder)
    ...     type(load_language_model(folder)).__name__
    'ConvertedLM'
    """
    path = Path(folder) / CONFIG_NAME
    text = path.read_text(encoding="utf-8") if path.is_file() else "{}"
    converted = json.loads(text).get("architecture") == ConvertedLM.__name__
    return (ConvertedLM if converted else CausalLM).from_pretrained(folder, device)


def _mixers(model: CausalLM) -> list[nn.Module]:
    return [cast(TNNBlock, block).gtu for block in model.blocks]


def _shape(system: DiagonalSSM | StateSpace) -> dict[str, Any]:
    if isinstance(system, StateSpace):
        return {"form": "full", "channels": system.channels, "states": system.order}
    shape = {"channels": system.channels, "states": system.poles.shape[1]}
    if isinstance(system, ETSC):
        return {"form": "etsc", **shape, "period": system.period}
    return {"form": "diagonal", **shape}


def _empty(form: str, channels: int, states: int, period: int = 0) -> nn.Module:
    """A system of this shape, for weights to be loaded into."""
    direct = torch.zeros(channels)
    if form == "full":
        vectors = torch.zeros(channels, states)
        return StateSpace(torch.zeros(channels, states, states), vectors, vectors, direct)
    weights = torch.zeros(channels, states, dtype=torch.complex64)
    if form == "etsc":
        return ETSC(weights, direct, period=period, decay=torch.ones(channels))
    return DiagonalSSM(weights, weights, direct)
