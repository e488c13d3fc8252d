"""One token as one CUDA graph: nothing is launched by Python but the graph."""

from collections.abc import Callable

import torch
from torch import Tensor

from tnnlab.generation.decoders import Decoder, StreamingLM
from tnnlab.generation.fused import fused_step, refuse_fusion
from tnnlab.generation.sampling import Sampler


def one_token(
    decoder: Decoder, sampler: Sampler, batch: int, *, fused: bool = True, compile: bool = False
) -> Callable[[Tensor], Tensor]:
    """Read one token of each sequence and draw the next: ``(batch,)`` to ``(batch,)``.

    Start the decoder afterwards: on a CUDA device this records a :class:`CapturedStep`.
    """
    if isinstance(decoder, StreamingLM) and decoder.clock.is_cuda:
        return CapturedStep(decoder, sampler, batch, fused=fused, compile=compile)
    return lambda tokens: sampler(decoder(tokens[:, None]))


class CapturedStep:
    """Embedding, blocks, scores and the draw of a token, recorded once and then replayed.

    A decoder's step is a fixed list of operations on fixed addresses (``Memory.static``). What is
    left to the host before a token, such as the FFTs of the online decoder, stays outside
    (:meth:`tnnlab.generation.Streaming.prepare`).

    Making it feeds the decoder a few tokens: start it afterwards, with as many sequences.

    Args:
        decoder: on a CUDA device.
        sampler: its generator is registered with the graph, so that every replay draws anew.
        batch: sequences.
        fused: take the GPU kernels of :mod:`tnnlab.generation.fused`, where the model is such that
            they can.
        compile: fuse operations by ``torch.compile`` before they are recorded (a minute).
    """

    def __init__(
        self,
        decoder: StreamingLM,
        sampler: Sampler,
        batch: int,
        *,
        fused: bool = True,
        compile: bool = False,
    ) -> None:
        self.decoder = decoder
        device = decoder.clock.device
        self.tokens = torch.zeros(batch, dtype=torch.long, device=device)
        step, generator = static_step(decoder, sampler, fused=fused), sampler.generator
        before = None if generator is None else generator.get_state()
        if compile:
            step = torch.compile(step, fullgraph=True)
        decoder.start(batch)
        aside = torch.cuda.Stream(device)
        aside.wait_stream(torch.cuda.current_stream(device))
        with torch.no_grad(), torch.cuda.stream(aside):
            for _ in range(3):  # tunes and allocates what the recording must find ready
                decoder.prepare(1)
                step(self.tokens)
        torch.cuda.current_stream(device).wait_stream(aside)
        self.step = step  # keeps alive what only it holds and the graph reads
        self.graph = torch.cuda.CUDAGraph()
        if generator is not None:
            self.graph.register_generator_state(generator)
        decoder.prepare(1)
        with torch.no_grad(), torch.cuda.graph(self.graph):
            step(self.tokens)
        if generator is not None and before is not None:
            generator.set_state(before)  # as if nothing had been drawn

    def __call__(self, tokens: Tensor) -> Tensor:
        """Read one token of each sequence and draw the next, ``(batch,)`` to the same.

        The result is overwritten by the next call.
        """
        self.decoder.prepare(1)
        self.tokens.copy_(tokens)
        self.graph.replay()
        return self.tokens


def static_step(
    decoder: StreamingLM, sampler: Sampler, *, fused: bool = False
) -> Callable[[Tensor], None]:
    """One token as a function that only changes tensors in place, its argument ``(batch,)`` among
    them. ``decoder.prepare(1)`` goes before each call."""
    for memory in decoder.memories:
        memory.static = True
    lm = decoder.module
    if fused and refuse_fusion(lm) is None:
        return fused_step(lm, sampler)

    def step(tokens: Tensor) -> None:
        tokens.copy_(sampler(lm.next_logits(tokens[:, None])))

    return step
