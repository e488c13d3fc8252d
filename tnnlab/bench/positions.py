"""A decoder that is put at a position, and what it holds there.

Its memory is given random states, so that 65,536 tokens need not be read before the next one is
timed: what a step does depends on the position, not on the values.
"""

import copy

import torch
from torch import nn

from tnnlab.bench import exact
from tnnlab.bench.timing import measure
from tnnlab.generation import Decoder, Recompute, StreamingLM, make_decoder
from tnnlab.generation.online import BLOCK, Online
from tnnlab.models import CausalLM


def decoder_for(name: str, model: CausalLM, length: int) -> Decoder:
    """The decoder of a row's name; attention has a cache of so many places."""
    if name == "full":
        return Recompute(model)
    return make_decoder(model, "window" if name == "attention" else name, length=length)


def with_unit_gain(model: CausalLM) -> CausalLM:
    """A fresh model hardly mixes positions. With such weights in the layers around the operators,
    an error in what they remember shows in the scores."""
    for module in model.blocks.modules():
        if isinstance(module, nn.Linear) and module.in_features > 1:
            nn.init.normal_(module.weight, std=module.in_features**-0.5)
    return model


def score_error(name: str, model: CausalLM, length: int) -> float:
    """Of the decoder's scores, token by token after a prompt, against the whole model at once in
    float64: the largest relative error."""
    n = min(length, 3 * BLOCK)
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(model.config.vocab_size, (2, n), generator=generator)
    tokens = tokens.to(model.embedding.weight.device)
    with torch.no_grad():
        expected = copy.deepcopy(model).double().eval()(tokens)
    decoder = decoder_for(name, model, length)
    decoder.start(2)
    first = n - n // 2
    found = [decoder(part) for part in tokens.split([first, *[1] * (n // 2)], dim=1)]
    return max(
        exact.relative_error(scores, expected[:, first - 1 + step])
        for step, scores in enumerate(found)
    )


def jump(decoder: StreamingLM, position: int, batch: int) -> None:
    """Put a decoder at a position, as if there were tokens behind it."""
    decoder.start(batch)
    for memory in decoder.memories:
        if isinstance(memory, Online):
            memory.reserve(position + 1)
            memory.stored = memory.base = position
        for name in memory.states:
            state = getattr(memory, name)
            if state.dtype == torch.bool:
                state.fill_(True)
            else:
                state.normal_()
    decoder.seen = position


def refuse_states(decoder: StreamingLM, position: int, batch: int, room: int) -> None:
    """Refuse a position whose states do not fit.

    Raises:
        ValueError: they take more than ``room`` bytes.
    """
    size = 0
    for memory in decoder.memories:
        for name in memory.states:
            state = getattr(memory, name)
            places = 1
            if isinstance(memory, Online) and name in ("inputs", "pending"):
                places = max(1, (1 << position.bit_length()) // state.shape[2])
            size += batch * places * state[:1].nbytes
    if size > room:
        raise ValueError(f"states of {size / 2**20:,.0f} MiB, more than {room / 2**20:,.0f} MiB")


def square_times(decoder: StreamingLM, position: int, seconds: float) -> dict[str, float]:
    """How long all layers' squares take up to a position, by their size (in JSON a key is text)."""
    online = [memory for memory in decoder.memories if isinstance(memory, Online)]
    times: dict[str, float] = {}
    size = BLOCK
    while size <= position:

        def squares(_: int, size: int = size) -> None:
            for memory in online:
                memory.pending[..., :size] += memory.square(memory.inputs[..., :size])

        times[str(size)] = measure(squares, decoder.clock.device, seconds=seconds)["time_s"]
        size *= 2
    return times


def constant_bytes(decoder: StreamingLM) -> int:
    """Bytes of taps, poles and spectra: what the layers hold beside weights and states."""
    total = 0
    for memory in decoder.memories:
        states = {getattr(memory, name).data_ptr() for name in memory.states}
        total += sum(t.nbytes for t in memory.buffers() if t.data_ptr() not in states)
        if isinstance(memory, Online):
            total += sum(spectrum.nbytes for spectrum in memory.spectra.values())
    return total
