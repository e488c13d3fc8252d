"""A small packed network whose next token depends on all earlier ones."""

from __future__ import annotations

import functools
from typing import Any

import torch

from tnnlab import CausalLM, TNNConfig
from tnnlab.convert.model import ConvertedLM, convert_model
from tnnlab.data import load_tokenizer
from tnnlab.widgets.packed import pack

SYSTEMS: dict[str, dict[str, Any]] = {"reduced": {"order": 6}, "etsc": {}}
SMALL: dict[str, Any] = {
    "vocab_size": 257,
    "depth": 2,
    "width": 12,
    "expansion": 2,
    "glu_width": 20,
    "rpe_width": 16,
    "rpe_depth": 1,
    "decay": 0.9,
    "dropout": 0.0,
}


def small(**changes: Any) -> CausalLM:
    """Weights far from those of a fresh model, which hardly mixes positions."""
    torch.manual_seed(0)
    model = CausalLM(TNNConfig(**{**SMALL, **changes}))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if ".operator." not in name and name != "embedding.weight":
                std = 2 * weight.shape[-1] ** -0.5 if weight.ndim > 1 else 0.6
                torch.nn.init.normal_(weight, std=std)
    return model.eval()


@functools.cache
def small_converted(method: str) -> ConvertedLM:
    return convert_model(small(), method, length=24, **SYSTEMS[method])


def small_packed(method: str, model: ConvertedLM | None = None) -> bytes:
    return pack(small_converted(method) if model is None else model, load_tokenizer("bytes"))
