"""Weights of the reference implementations, read by their parameter names."""

import re
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn

from tnnlab.layers import GLU, GTU, TNNBlock
from tnnlab.norms import lookup
from tnnlab.operators import FDTNO, RTF, TNO

State = Mapping[str, Tensor]


def from_reference(
    kind: str, state_dict: State, *, causal: bool, length: int | None = None
) -> nn.Module:
    """Build the tnnlab module that a published checkpoint's weights belong to.

    Sizes are read off the shapes. What a state dict cannot say is taken from the published
    configurations: ReLU in the RPE, parameter-free RMS norms, pre-norm blocks.

    Args:
        kind: ``"tno"`` (``gamma``, ``rpe.*``), ``"fd"`` (``rpe.*``), ``"block"``
            (``token_mixer.*`` with a TNO as ``token_mixer.toep``, ``feature_mixer.*``) or
            ``"rtf"`` (``ab``, ``h_0``).
        state_dict: names to tensors, as the reference implementation saved them.
        causal: whether the reference module was causal.
        length: for ``"rtf"``, the length its kernel was generated at (``trunc_len``); None: the
            length of each input. The other kinds do not depend on it.

    Returns:
        the module, in evaluation mode: ``(batch, length, channels)`` to the same.

    Raises:
        ValueError: an unknown kind; names that are missing or unexpected, or shapes that do not
            fit each other, all of them listed.

    >>> state = {"ab": torch.zeros(2, 4), "h_0": torch.ones(1)}  # one channel, order 4: a, then b
    >>> from_reference("rtf", state, causal=True, length=8).kernel(3).tolist()
    [[1.0, 0.0, 0.0]]
    >>> from_reference("rtf", {"ab": torch.zeros(2, 4)}, causal=True)
    Traceback (most recent call last):
    ValueError: the names do not fit: missing ['h_0'], unexpected []
    """
    build: Callable[..., nn.Module] = lookup("kind", kind, _KINDS)
    return build(dict(state_dict), causal, length).eval()


def _tno(state: State, causal: bool, length: int | None, prefix: str = "") -> TNO:
    _require(state, [f"{prefix}gamma", *_rpe_names(state, f"{prefix}rpe.")], prefix)
    width, depth, channels = _rpe_sizes(state, f"{prefix}rpe.")
    gamma = state[f"{prefix}gamma"]
    if tuple(gamma.shape) != (1, 1, channels):
        raise _misfit({f"{prefix}gamma": (gamma.shape, (1, 1, channels))})
    rates = gamma.detach().flatten().float()
    decay = float(rates[0]) if bool((rates == rates[0]).all()) else rates
    operator = TNO(channels, causal=causal, rpe_width=width, rpe_depth=depth, decay=decay)
    _load(operator.rpe, state, f"{prefix}rpe.")
    return operator


def _fd(state: State, causal: bool, length: int | None) -> FDTNO:
    _require(state, _rpe_names(state, "rpe."))
    width, depth, outputs = _rpe_sizes(state, "rpe.")
    if not causal and outputs % 2:
        raise ValueError(
            "a bidirectional FD-TNO has an even number of outputs (real parts, imaginary parts); "
            f"rpe.out.2.weight has {outputs}"
        )
    operator = FDTNO(
        outputs if causal else outputs // 2,
        causal=causal,
        rpe_width=width,
        rpe_depth=depth,
        rpe_activation="relu",
    )
    _load(operator.rpe, state, "rpe.")
    return operator


def _block(state: State, causal: bool, length: int | None) -> TNNBlock:
    mixer, rpe, glu = "token_mixer.", "token_mixer.toep.rpe.", "feature_mixer."
    gtu_names = _linears(mixer, ("u_proj", "v_proj", "o"))
    glu_names = _linears(glu, ("l1", "l2", "l3"))
    _require(state, [*gtu_names, f"{mixer}toep.gamma", *_rpe_names(state, rpe), *glu_names])
    toep = {name: value for name, value in state.items() if name.startswith(f"{mixer}toep.")}
    width = state[f"{mixer}o.weight"].shape[0]
    gated = GTU(width, _tno(toep, causal, length, f"{mixer}toep."))
    linear = GLU(width, state[f"{glu}l1.weight"].shape[0])
    for module, prefix in (
        (gated.u_proj, f"{mixer}u_proj."),
        (gated.v_proj, f"{mixer}v_proj."),
        (gated.o, f"{mixer}o."),
        (linear, glu),
    ):
        _load(module, state, prefix)
    return TNNBlock(gated, linear, width=width)


def _rtf(state: State, causal: bool, length: int | None) -> RTF:
    _require(state, ["ab", "h_0"])
    ab, h0 = state["ab"], state["h_0"]
    systems = 1 if causal else 2
    channels = h0.shape[0] // systems if h0.ndim == 1 else 0
    rows = ab.shape[0] - systems * channels if ab.ndim == 2 else 0
    denominators = rows // systems
    if channels < 1 or denominators < 1 or channels % denominators or h0.shape[0] % systems:
        expected = f"({systems} (num_a + d), order), with num_a dividing d"
        raise _misfit({"ab": (ab.shape, expected), "h_0": (h0.shape, f"({systems} d,)")})
    operator = RTF(
        channels,
        causal=causal,
        order=ab.shape[1],
        length=length or 1,
        denominators=denominators,
    )
    with torch.no_grad():
        operator.a.copy_(ab[:rows])
        operator.b.copy_(ab[rows:])
        operator.h0.copy_(h0)
    return operator


_KINDS = {"tno": _tno, "fd": _fd, "block": _block, "rtf": _rtf}


def _linears(prefix: str, names: Iterable[str]) -> list[str]:
    return [f"{prefix}{name}.{part}" for name in names for part in ("weight", "bias")]


def _rpe_names(state: State, prefix: str) -> list[str]:
    """What an RPE of this state's depth is made of; its depth is the highest layer named."""
    pattern = re.compile(re.escape(prefix) + r"layers\.(\d+)\.")
    numbers = [int(match[1]) for name in state if (match := pattern.match(name))]
    layers = [f"layers.{i}.2" for i in range(max(numbers, default=-1) + 1)]
    return _linears(prefix, ["pos_proj", *layers, "out.2"])


def _rpe_sizes(state: State, prefix: str) -> tuple[int, int, int]:
    """Width, depth and number of outputs."""
    depth = sum(".layers." in name and name.endswith("weight") for name in state)
    out, first = state[f"{prefix}out.2.weight"], state[f"{prefix}pos_proj.weight"]
    return first.shape[0], depth, out.shape[0]


def _require(state: State, names: Iterable[str], prefix: str = "") -> None:
    expected, given = set(names), {name for name in state if name.startswith(prefix)}
    if expected != given:
        raise ValueError(
            f"the names do not fit: missing {sorted(expected - given)}, "
            f"unexpected {sorted(given - expected)}"
        )


def _load(module: nn.Module, state: State, prefix: str) -> None:
    """Copy the tensors under ``prefix`` into a module whose names they share."""
    own = {name.removeprefix(prefix): v for name, v in state.items() if name.startswith(prefix)}
    shapes = {name: tensor.shape for name, tensor in module.state_dict().items()}
    wrong = {
        prefix + name: (tensor.shape, tuple(shapes[name]))
        for name, tensor in own.items()
        if tensor.shape != shapes[name]
    }
    if wrong:
        raise _misfit(wrong)
    module.load_state_dict(own)


def _misfit(wrong: Mapping[str, tuple[Iterable[int], object]]) -> ValueError:
    listed = "; ".join(
        f"{name} has shape {tuple(given)}, expected {expected}"
        for name, (given, expected) in wrong.items()
    )
    return ValueError(f"the shapes do not fit each other: {listed}")
