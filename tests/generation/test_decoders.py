"""Every decoder is the same model: logits step by step, tokens, batches."""

import copy
from typing import Any, cast

import pytest
import torch

from tests.generation.lms import EACH, FEW, decoders, lm, random_tokens, scores
from tests.models.shapes import small
from tnnlab import CausalLM, TNNConfig
from tnnlab.convert.model import convert_model
from tnnlab.generation import StreamingLM, generate, make_decoder, sample
from tnnlab.operators import RTF, TNO, HyenaFilter, ToeplitzOperator

N = 75  # two blocks of the online decoder and a part of one


@EACH
def test_each_step_has_the_scores_of_the_whole_sequence(operator: str, mixer: str) -> None:
    model, tokens = lm(operator, mixer), random_tokens(2, N)
    with torch.no_grad():
        expected = model(tokens)
    for name in decoders(operator):
        decoder = make_decoder(model, name, length=N)
        if name == "full":  # slow, and nothing is remembered: few steps say it all
            found = scores(decoder, tokens, [9, 1, N - 11, 1])
            torch.testing.assert_close(found, expected[:, [8, 9, N - 2, N - 1]])
            continue
        found = scores(decoder, tokens, [9] + [1] * (N - 9))
        torch.testing.assert_close(found, expected[:, 8:])


@FEW
def test_a_prompt_in_any_pieces(operator: str, mixer: str) -> None:
    model, tokens = lm(operator, mixer), random_tokens(2, N)
    with torch.no_grad():
        expected = model(tokens)
    for name in decoders(operator)[1:]:
        decoder = make_decoder(model, name, length=N)
        token_by_token = scores(decoder, tokens, [1] * N)
        torch.testing.assert_close(token_by_token, expected)
        in_chunks = scores(decoder, tokens, [5, 1, 30, 1, 1, 2, N - 40])
        torch.testing.assert_close(in_chunks, expected[:, [4, 5, 35, 36, 37, 39, N - 1]])


@EACH
def test_the_same_tokens_in_float32(operator: str, mixer: str) -> None:
    model = lm(operator, mixer, torch.float32)
    prompts = [[3, 1, 4, 1, 5, 9, 2, 6], [2, 7], [1]]
    options: dict[str, Any] = {"max_new_tokens": 40, "temperature": 0, "length": 48}
    expected = generate(model, prompts, decoder="full", **options)
    assert [len(row) for row in expected] == [40, 40, 40]
    assert (
        len({tuple(row) for row in expected}) == 3
        and len({token for row in expected for token in row}) > 2
    )
    for name in decoders(operator):
        assert generate(model, prompts, decoder=name, **options) == expected, name
    if "attention" not in operator:  # it takes more than the nearest tokens to get there
        near = generate(model, prompts, decoder="window", **{**options, "length": 2})
        assert near != expected


@FEW
def test_a_prompt_in_a_batch_goes_on_as_alone(operator: str, mixer: str) -> None:
    model = lm(operator, mixer)
    prompts = [random_tokens(1, n, seed=n)[0].tolist() for n in (37, 1, 20)]
    options: dict[str, Any] = {"max_new_tokens": 12, "temperature": 0, "length": 50}
    names = decoders(operator)
    if not operator.startswith("attention"):
        names.append("reduced")
    for name in names:
        if name == "reduced":
            options["order"] = 6
        together = generate(model, prompts, decoder=name, **options)
        alone = [generate(model, [prompt], decoder=name, **options)[0] for prompt in prompts]
        assert together == alone, name


@FEW
def test_scores_beside_padding(operator: str, mixer: str) -> None:
    model, tokens = lm(operator, mixer), random_tokens(2, N)
    mask = torch.ones(2, N, dtype=torch.bool)
    mask[0, :30] = False
    for name in decoders(operator)[1:]:
        decoder = make_decoder(model, name, length=N)
        steps = tokens[:, 40:].split(1, dim=1)
        decoder.start(2)
        found = [decoder(tokens[:, :40], mask[:, :40]), *map(decoder, steps)]
        decoder.start(1)
        alone = [decoder(tokens[:1, 30:40]), *(decoder(step[:1]) for step in steps)]
        torch.testing.assert_close(torch.stack(found)[:, :1], torch.stack(alone))


@FEW
def test_without_a_length_full_reads_the_text_as_it_is(operator: str, mixer: str) -> None:
    model, prompts = lm(operator, mixer), random_tokens(2, 6)
    drawn = sample(model, prompts, max_new_tokens=7, temperature=0)
    assert drawn.shape == (2, 13) and drawn[:, :6].equal(prompts)
    with torch.no_grad():
        for n in range(6, 13):
            assert model(drawn[:, :n])[:, -1].argmax(-1).equal(drawn[:, n])
    assert generate(model, prompts, max_new_tokens=7, temperature=0, decoder="full") == (
        drawn[:, 6:].tolist()
    )


def test_ski_has_no_kernel_but_can_be_read_again() -> None:
    torch.manual_seed(0)
    model = CausalLM(TNNConfig(**small("ski"))).double()
    drawn = sample(model, random_tokens(1, 5), max_new_tokens=4, temperature=0)
    assert model.eval()(drawn[:, :8])[:, -1].argmax(-1).equal(drawn[:, 8])
    with pytest.raises(ValueError, match="SKITNO has no kernel: it can generate by 'full'"):
        generate(model, [[1]], max_new_tokens=4)


@pytest.mark.parametrize(
    ("name", "numbers"), [("window", 32), ("etsc", 34), ("reduced", 6), ("online", None)]
)
def test_the_memory_of_a_state_does_not_grow(name: str, numbers: int | None) -> None:
    model = lm("tno")
    options: dict[str, Any] = {"order": 6} if name == "reduced" else {}
    decoder = cast(StreamingLM, make_decoder(model, name, length=32, **options))
    decoder.start(2)
    sizes = []
    for token in random_tokens(2, 300).split(1, dim=1):
        decoder(token)
        sizes.append(decoder.state_bytes())
    if numbers is None:
        assert sizes[0] < sizes[-1] <= 4 * (2 * 2 * 8 * 8 * 300)  # amortised by doubling
    elif name == "reduced":  # 6 states, of which conjugate pairs keep one
        assert sizes[0] == sizes[-1] <= 2 * 2 * 8 * 8 * 2 * numbers
    else:
        assert set(sizes) == {2 * 2 * 8 * 8 * numbers}


@FEW
def test_a_decoder_shares_the_parameters_and_leaves_the_model_alone(
    operator: str, mixer: str
) -> None:
    model = copy.deepcopy(lm(operator, mixer)).train()
    before = copy.deepcopy(model.state_dict())
    kinds = [type(module) for module in model.modules()]
    for name in decoders(operator):
        decoder = make_decoder(model, name, length=16)
        decoder.start(1)
        assert not decoder(random_tokens(1, 9)).requires_grad
        module = getattr(decoder, "module", getattr(decoder, "model", None))
        assert module.embedding.weight is model.embedding.weight
        assert module.blocks[1].glu.l1.weight is model.blocks[1].glu.l1.weight
    assert all(module.training for module in model.modules())
    assert kinds == [type(module) for module in model.modules()]
    for name, value in model.state_dict().items():
        assert value.equal(before[name])


def test_dropout_is_off() -> None:
    torch.manual_seed(0)
    model = CausalLM(TNNConfig(**small("s4d", "s4", dropout=0.5)))
    for name in decoders("s4d"):
        one, two = (
            generate(model, [[1, 2]], max_new_tokens=8, temperature=0, decoder=name)
            for _ in range(2)
        )
        assert one == two


def test_a_half_precision_model() -> None:
    model = copy.deepcopy(lm("tno", "gtu", torch.float32)).bfloat16()
    tokens = random_tokens(2, 50)
    with torch.no_grad():
        expected = model(tokens)[:, 8:]
    for name in ("window", "online", "etsc"):
        found = scores(make_decoder(model, name, length=50), tokens, [9] + [1] * 41)
        assert (found - expected).norm() < 0.03 * expected.norm()


def test_a_converted_model_generates_by_its_states() -> None:
    model = lm("tno", "gtu", torch.float32)
    prompts = [[3, 1, 4], [1, 5, 9, 2]]
    options: dict[str, Any] = {"max_new_tokens": 30, "temperature": 0}
    for method, more in (("etsc", {}), ("reduced", {"order": 5})):
        converted = convert_model(model, method, length=20, **more)
        expected = generate(model, prompts, decoder=method, length=20, **more, **options)
        assert generate(converted, prompts, **options) == expected
        assert generate(converted, prompts, decoder="full", **options) == expected
        assert converted.generate(prompts, decoder="online", **options) == expected
        other = {"etsc": "reduced", "reduced": "etsc"}[method]
        with pytest.raises(ValueError, match=f"was converted by '{method}'"):
            generate(converted, prompts, decoder=other, **options)


@pytest.mark.parametrize(
    ("operator", "name", "options", "message"),
    [
        ("tno", "windw", {"length": 8}, "no decoder 'windw': did you mean window"),
        ("tno", "window", {}, "the decoder 'window' needs a length"),
        ("tno", "window", {"length": 0}, "length is at least 1; got 0"),
        ("tno", "window", {"length": 8, "order": 3}, "for the decoder 'reduced', not for 'window'"),
        ("tno", "reduced", {"length": 8}, "give order or tolerance"),
        ("attention", "etsc", {"length": 8}, "Attention has no kernel"),
    ],
)
def test_bad_options_are_named(
    operator: str, name: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make_decoder(lm(operator), name, **options)


def test_operators_say_whether_longer_kernels_extend_shorter_ones() -> None:
    for operator in ("tno", "fd", "rtf", "s4d", "hyena"):
        model = copy.deepcopy(lm(operator))
        module = next(m for m in model.modules() if isinstance(m, ToeplitzOperator))
        if isinstance(module, RTF):  # a long memory, which wraps around
            torch.nn.init.constant_(module.a, 0.0)
            module.a.data[:, 0] = -0.98
        assert torch.allclose(module.kernel(120)[:, :50], module.kernel(50)) == module.extends
    assert not TNO(1, causal=True, normalize_lags=True).extends


def test_an_envelope_is_what_the_kernel_shrinks_with() -> None:
    torch.manual_seed(0)
    plain = TNO(3, causal=True, decay=1.0).double()
    rates = torch.tensor([0.5, 0.9, 1.0], dtype=torch.float64)
    damped = TNO(3, causal=True, decay=rates).double()
    damped.rpe = plain.rpe
    expected = plain.kernel(9) * damped.envelope()[:, None] ** torch.arange(9)
    torch.testing.assert_close(damped.kernel(9), expected)
    torch.testing.assert_close(damped.envelope(), rates)
    learned = TNO(3, causal=True, decay=0.9, learned_decay=True).double()
    learned.rpe = plain.rpe
    rate = learned.kernel(2)[:, 1] / plain.kernel(2)[:, 1]
    torch.testing.assert_close(learned.envelope(), rate)
    hyena = HyenaFilter(3, causal=True, length=8).double()
    expected = hyena.kernel(20)
    envelope = hyena.envelope()
    assert ((envelope > 0) & (envelope < 1)).all()
    hyena.rates.zero_()
    torch.testing.assert_close(hyena.kernel(20) * envelope[:, None] ** torch.arange(20), expected)
    assert lm("fd").blocks[0].gtu.operator.envelope().equal(torch.ones(8).double())  # type: ignore
