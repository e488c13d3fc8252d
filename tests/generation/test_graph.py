"""One token as one graph: what a graph needs is checked on any device, the graph on a GPU."""

import copy
from typing import Any, cast

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from tests.generation.lms import decoders, lm, random_tokens
from tests.models.shapes import small
from tnnlab.generation import Sampler, StreamingLM, generate, graph, make_decoder
from tnnlab.generation.fused import refuse_fusion
from tnnlab.generation.graph import CapturedStep, one_token, static_step
from tnnlab.models import CausalLM, TNNConfig

CASES = [
    *((operator, mixer, name)
      for operator, mixer in (("tno", "gtu"), ("s4d", "s4"), ("hyena", "hyena"))
      for name in ("window", "etsc", "reduced", "online")),
    ("attention", "gtu", "window"),
]  # fmt: skip
EACH = pytest.mark.parametrize(("operator", "mixer", "name"), CASES)


class Recorder(TorchDispatchMode):
    """The operations that run, and the tensors from outside that they change."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.operations.append(str(func))
        return func(*args, **(kwargs or {}))


def decoder_for(operator: str, mixer: str, name: str, device: str = "cpu") -> StreamingLM:
    model = copy.deepcopy(lm(operator, mixer, torch.float32)).to(device)
    options: dict[str, Any] = {"order": 5} if name == "reduced" else {}
    return cast(StreamingLM, make_decoder(model, name, length=100, **options))


@EACH
def test_a_static_step_is_the_step(operator: str, mixer: str, name: str) -> None:
    decoder, sampler = decoder_for(operator, mixer, name), Sampler(temperature=0)
    prompts = random_tokens(2, 20)
    expected, new = [], sampler(decoder_start(decoder, prompts))
    for _ in range(70):
        expected.append(new)
        new = sampler(decoder(new[:, None]))
    tokens = sampler(decoder_start(decoder, prompts))
    step = static_step(decoder, sampler)
    for wanted in expected:
        assert tokens.equal(wanted)
        decoder.prepare(1)
        with torch.no_grad():
            step(tokens)


def decoder_start(decoder: StreamingLM, prompts: Tensor) -> Tensor:
    decoder.start(len(prompts))
    return decoder(prompts)


@EACH
@pytest.mark.parametrize("temperature", [0, 0.8])
def test_a_static_step_is_always_the_same_list_of_operations(
    operator: str, mixer: str, name: str, temperature: float
) -> None:
    """Nothing comes to the host, nothing comes from it, and no address changes."""
    decoder = decoder_for(operator, mixer, name)
    sampler = Sampler(temperature, top_k=7, top_p=0.9, generator=torch.Generator())
    step = static_step(decoder, sampler)
    decoder_start(decoder, random_tokens(2, 9))
    tokens = torch.zeros(2, dtype=torch.long)
    seen = []
    for _ in range(40):
        decoder.prepare(1)
        with torch.no_grad(), Recorder() as recorder:
            step(tokens)
        changing = [(memory, n) for memory in decoder.memories for n in memory.states]
        inside = {"inputs", "pending"} if name == "online" else set()
        addresses = [getattr(m, n).data_ptr() for m, n in changing if n not in inside]
        seen.append((recorder.operations, addresses))
    assert all(one == seen[0] for one in seen)
    banned = ("_local_scalar_dense", "lift_fresh", "nonzero", "_to_copy", "is_nonzero")
    found = [o for o in seen[0][0] if any(word in o for word in banned)]
    assert not found


@EACH
def test_on_a_cpu_nothing_is_fused(
    operator: str, mixer: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph, "fused_step", lambda *_: pytest.fail("there are no GPU kernels"))
    decoder, sampler = decoder_for(operator, mixer, name), Sampler(temperature=0)
    rows = []
    for fused in (False, True):
        step = static_step(decoder, sampler, fused=fused)
        tokens = sampler(decoder_start(decoder, random_tokens(2, 20)))
        row = [tokens.clone()]
        for _ in range(5):
            decoder.prepare(1)
            with torch.no_grad():
                step(tokens)
            row.append(tokens.clone())
        rows.append(torch.stack(row))
    again = one_token(decoder, sampler, 2, fused=True, compile=True)  # neither, without a graph
    tokens = sampler(decoder_start(decoder, random_tokens(2, 20)))
    row = [tokens]
    for _ in range(5):
        row.append(again(row[-1]))
    assert rows[0].equal(rows[1]) and rows[0].equal(torch.stack(row))


NO_GTU = "the fused step is that of gated Toeplitz units"
NO_NORM = "the fused step has an RMS norm before each layer"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (small("tno", norm="layer"), NO_NORM),
        (small("tno", pre_norm=False), NO_NORM),
        (small("s4d", "s4"), NO_GTU),
        (small("hyena", "hyena"), NO_GTU),
        (small("attention"), NO_GTU),
        (small("tno"), "Triton's GPU kernels need a CUDA device, and x is on cpu"),
        (small("rtf", glu_width=0), "Triton's GPU kernels need a CUDA device, and x is on cpu"),
    ],
    ids=str,
)
def test_what_cannot_be_fused_says_why(options: dict[str, Any], reason: str) -> None:
    model = CausalLM(TNNConfig(**options))
    decoder = cast(StreamingLM, make_decoder(model, "window", length=40))
    assert refuse_fusion(decoder.module) == reason
    if reason != NO_NORM:  # nor can a model whose operators remember nothing
        assert refuse_fusion(model) == NO_GTU


@pytest.mark.filterwarnings("ignore")  # deprecations inside torch's compiler
@pytest.mark.parametrize(("operator", "mixer", "name"), [CASES[0], CASES[1], CASES[-1]])
def test_a_static_step_compiles_without_a_graph_break(operator: str, mixer: str, name: str) -> None:
    torch.compiler.reset()
    decoder, sampler = decoder_for(operator, mixer, name), Sampler(temperature=0)
    step = static_step(decoder, sampler)
    compiled = torch.compile(step, fullgraph=True, backend="aot_eager")
    found = []
    for function in (step, compiled):
        tokens = sampler(decoder_start(decoder, random_tokens(2, 20)))
        rows = []
        for _ in range(20):
            decoder.prepare(1)
            with torch.no_grad():
                function(tokens)
            rows.append(tokens.clone())
        found.append(torch.stack(rows))
    assert found[0].equal(found[1])


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore")  # deprecations inside torch's compiler
@pytest.mark.parametrize(
    ("operator", "mixer", "name", "how"),
    [(*case, {"fused": False}) for case in CASES]
    + [(*case, {"fused": True}) for case in CASES if case[1] == "gtu"]
    + [(*CASES[k], {"fused": False, "compile": True}) for k in (0, 1, -1)],
)
@pytest.mark.parametrize("batch", [1, 2, 20])
def test_a_captured_step_draws_the_tokens_of_the_cpu(
    operator: str, mixer: str, name: str, how: dict[str, bool], batch: int
) -> None:
    if how.get("compile") and batch != 2:
        pytest.skip("compiled for one batch: it takes its time")
    decoder = decoder_for(operator, mixer, name, "cuda")
    prompts = random_tokens(batch, 20).cuda()
    step = CapturedStep(decoder, Sampler(temperature=0), batch, **how)
    tokens, rows = decoder_start(decoder, prompts).argmax(-1), []
    for _ in range(70):
        rows.append(tokens.clone())
        tokens = step(tokens)
    cpu = decoder_for(operator, mixer, name)
    expected = generate(lm(operator, mixer, torch.float32), prompts.cpu(), max_new_tokens=70,
                        temperature=0, decoder=cpu)  # fmt: skip
    assert torch.stack(rows, 1).tolist() == expected


@pytest.mark.gpu
def test_every_replay_draws_anew_and_a_seed_repeats() -> None:
    model = copy.deepcopy(lm("tno", "gtu", torch.float32)).cuda()
    for name in decoders("tno")[1:]:
        one, two, three = (
            generate(model, [[1, 2, 3]] * 4, max_new_tokens=40, seed=seed, decoder=name)
            for seed in (1, 1, 2)
        )
        assert one == two != three
        eager = generate(model, [[1, 2, 3]] * 4, max_new_tokens=40, seed=1, decoder="full")
        assert one == eager
        assert len({tuple(row) for row in one}) == 4
