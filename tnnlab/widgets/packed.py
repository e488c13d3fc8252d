"""A small converted language model as one file that a page can carry.

The file is safetensors: a header in JSON, then the tensors. A matrix ``name`` of the network is
int8, with a float32 scale for each of its rows (``name.scale``), so that W = scale ⊙ int8; float16
would be twice as large. Biases, poles, residues and direct terms stay float32: the error of a pole
grows with the lag. The header's metadata are the configuration in JSON, under the format's name.
"""

import json
from dataclasses import asdict, replace
from typing import cast

import torch
from torch import Tensor

from tnnlab._extras import require
from tnnlab.convert import DiagonalSSM
from tnnlab.convert.model import ConvertedConfig, ConvertedLM
from tnnlab.data import Tokenizer
from tnnlab.layers import TNNBlock
from tnnlab.models import CausalLM

FORMAT = "tnnlab writer 1"
LARGEST = 1_090_000  # bytes; as base64, and with the front end, below 1.5 MB
NEEDS = {"mixer": "gtu", "norm": "rms", "pre_norm": True}


def pack(model: CausalLM, tokenizer: Tokenizer) -> bytes:
    """Round a converted model to what :func:`unpack` and the front end read.

    Args:
        model: byte-level, converted to diagonal state spaces (``"etsc"``, or ``"reduced"`` where
            the report says ``form: diagonal``), of GTU and GLU blocks with the rms norm before
            each.
        tokenizer: must be the one of bytes: the front end has no other.

    Raises:
        ValueError: another model or tokenizer, or more than :data:`LARGEST` bytes.
    """
    config = _check(model, tokenizer)
    packed: dict[str, Tensor] = {}
    for name, tensor in model.state_dict().items():
        tensor = tensor.detach().float().cpu()
        if ".operator." not in name and tensor.ndim == 2:
            scale = tensor.abs().amax(1).clamp_min(1e-30) / 127
            packed[name] = (tensor / scale[:, None]).round().to(torch.int8)
            packed[f"{name}.scale"] = scale
        elif not name.endswith(".operator.decay"):  # ETSC's, which is in its poles
            packed[name] = tensor.contiguous()
    metadata = {FORMAT: json.dumps(asdict(config))}
    data = require("safetensors.torch", "train").save(packed, metadata)
    if len(data) > LARGEST:
        raise ValueError(
            f"the model takes {len(data):,} bytes, and a page carries at most {LARGEST:,}: "
            "convert it with fewer states, or train one with a smaller width or glu_width"
        )
    return data


def unpack(data: bytes) -> ConvertedLM:
    """The model that was packed, as rounded: float32, in evaluation mode, on the CPU.

    Raises:
        ValueError: the bytes are not :func:`pack`'s.
    """
    size = int.from_bytes(data[:8], "little")
    try:
        metadata = json.loads(data[8 : 8 + size])["__metadata__"]
    except (ValueError, KeyError) as error:
        raise ValueError("not a packed model: give the bytes that pack() returns") from error
    if FORMAT not in metadata:
        raise ValueError(f"the format read here is {FORMAT!r}; the file names {list(metadata)}")
    tensors = require("safetensors.torch", "train").load(data)
    for name in [name for name in tensors if name.endswith(".scale")]:
        matrix = name.removesuffix(".scale")
        tensors[matrix] = tensors[matrix].float() * tensors.pop(name)[:, None]
    model = ConvertedLM(ConvertedConfig(**json.loads(metadata[FORMAT])))
    model.load_state_dict(tensors)
    return model.eval()


def _check(model: CausalLM, tokenizer: Tokenizer) -> ConvertedConfig:
    """The model's configuration, with each system as a diagonal one; or ValueError."""
    if not isinstance(model, ConvertedLM):
        raise ValueError(
            f"a {type(model).__name__} has no states to carry: convert it first, "
            'convert_model(model, "reduced", length=…, order=…)'
        )
    config = model.config
    if tokenizer.name != "bytes" or config.vocab_size != tokenizer.vocab_size:
        raise ValueError(
            "the front end knows the tokenizer 'bytes' and its 257 tokens; got the tokenizer "
            f"{tokenizer.name!r} and a model of {config.vocab_size} tokens"
        )
    for name, needed in NEEDS.items():
        if (given := getattr(config, name)) != needed:
            raise ValueError(f"the front end knows models with {name} {needed!r}; got {given!r}")
    if config.glu_width == 0:
        raise ValueError("the front end knows blocks with a GLU; this model has glu_width 0")
    forms = [shape["form"] for shape in config.systems]
    if "full" in forms:
        raise ValueError(
            f"layer {forms.index('full')} is a state space with full matrices, and the front end "
            "knows diagonal ones: convert the model with fewer states"
        )
    systems = [cast(TNNBlock, block).gtu.operator for block in model.blocks]
    shapes = [
        {"form": "diagonal", "channels": len(poles), "states": poles.shape[1]}
        for poles in (cast(DiagonalSSM, system).poles for system in systems)
    ]
    return replace(config, systems=shapes)
