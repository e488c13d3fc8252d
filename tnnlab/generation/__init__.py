"""Text from a language model, one token at a time, at a cost that need not grow.

A decoder is the model with a memory: it takes new tokens and gives the scores of the next one. All
decoders compute the same layers; they differ in how a long convolution remembers its past.
"""

from tnnlab.generation.decoders import DECODERS, Decoder, Recompute, StreamingLM, make_decoder
from tnnlab.generation.loop import generate, sample, stream
from tnnlab.generation.memory import Memory, Streaming
from tnnlab.generation.sampling import Sampler
from tnnlab.generation.text import TextStream

__all__ = [
    "DECODERS",
    "Decoder",
    "Memory",
    "Recompute",
    "Sampler",
    "Streaming",
    "StreamingLM",
    "TextStream",
    "generate",
    "make_decoder",
    "sample",
    "stream",
]
