"""Where a run computes, and in which precision: decided once, through Hugging Face accelerate."""

from typing import Any

import torch
from torch import nn

from tnnlab._extras import require
from tnnlab.training.errors import ConfigError
from tnnlab.training.optimisation import Precision, TrainingConfig


def resolve_precision(precision: Precision, device: torch.device) -> str:
    """Turn "auto" into what the device does best, and refuse what it cannot do.

    Args:
        precision: "auto", "fp32", "bf16" or "fp16".
        device: where the model will run.

    Returns:
        "fp32", "bf16" or "fp16".

    Raises:
        ConfigError: the device lacks this precision.
    """
    cuda = device.type == "cuda"
    has_bf16 = not cuda or torch.cuda.is_bf16_supported(including_emulation=False)
    if precision == "auto":
        return ("bf16" if has_bf16 else "fp16") if cuda else "fp32"
    if precision == "fp16" and device.type == "cpu":
        raise ConfigError(
            "training.precision 'fp16' needs a GPU and this run is on a CPU: "
            "take 'fp32', 'bf16', or 'auto', which picks what the device does best"
        )
    if precision == "bf16" and not has_bf16:
        name = torch.cuda.get_device_name(device)
        raise ConfigError(f"training.precision 'bf16' is not supported by {name}: take 'fp16'")
    return precision


def make_accelerator(config: TrainingConfig) -> tuple[Any, str]:
    """Prepare devices, processes, mixed precision and gradient accumulation.

    Under ``torchrun`` or ``accelerate launch`` this joins the other processes.

    Returns:
        the :class:`accelerate.Accelerator`, and the precision that it runs in.

    Raises:
        ConfigError: the precision does not exist here, or the processes and micro-batches do
            not divide the batch.
    """
    accelerate = require("accelerate", "train")
    # Without cpu=True, processes that share a machine without GPU would not find each other.
    cpu = not torch.accelerator.is_available()
    processes = accelerate.PartialState(cpu=cpu)
    precision = resolve_precision(config.precision, processes.device)
    parts = processes.num_processes * config.accumulate
    if config.batch_size % parts:
        raise ConfigError(
            f"training.batch_size {config.batch_size} cannot be shared by "
            f"{processes.num_processes} processes of {config.accumulate} micro-batches each: "
            f"make it a multiple of {parts}"
        )
    # accelerate keeps one global state; without this a notebook's second run, in another
    # precision, would be refused.
    accelerate.state.AcceleratorState._reset_state()
    accelerator = accelerate.Accelerator(
        cpu=cpu,
        mixed_precision="no" if precision == "fp32" else precision,
        gradient_accumulation_steps=config.accumulate,
    )
    return accelerator, precision


def share_buffers(model: nn.Module, accelerator: Any) -> None:
    """Give every process the first one's buffers: running averages, which each has moved by its
    own share of the batches.

    Args:
        model: the same in all processes.
        accelerator: the processes.
    """
    if accelerator.num_processes > 1:
        broadcast = require("accelerate.utils", "train").broadcast
        for buffer in model.buffers():
            broadcast(buffer)


def peak_memory(device: torch.device) -> int:
    """Most bytes held at once: on a GPU by tensors, on a CPU by the whole process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
        import sys
    except ImportError:  # Windows
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
