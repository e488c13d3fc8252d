"""Copying and Delay against their definitions."""

import numpy as np
import pytest
import torch

from tnnlab.data.synthetic import IGNORED, Copying, Delay


@pytest.mark.parametrize(
    ("symbols", "blanks", "vocab_size"), [(1024, 0, 64), (10, 100, 10), (1, 0, 3)]
)
def test_copying_asks_for_the_symbols_in_order(symbols: int, blanks: int, vocab_size: int) -> None:
    task = Copying(batch_size=5, seed=0, symbols=symbols, blanks=blanks, vocab_size=vocab_size)
    tokens, targets = task.batch(3)
    assert tokens.shape == targets.shape == (5, task.length)
    assert task.length == 2 * symbols + blanks
    for row, answer in zip(tokens.tolist(), targets.tolist(), strict=True):
        told = row[:symbols]
        assert row == told + [0] * blanks + [vocab_size - 1] * symbols
        assert answer == [IGNORED] * (symbols + blanks) + told
        assert all(1 <= symbol <= vocab_size - 2 for symbol in told)


def test_copying_is_the_published_setting() -> None:
    task = Copying(batch_size=8, seed=0)
    tokens, targets = task.batch(0)
    assert (task.symbols, task.vocab_size, tokens.shape) == (1024, 64, (8, 2048))
    assert int(tokens.max()) == 63 and int((targets != IGNORED).sum()) == 8 * 1024
    counts = np.bincount(torch.cat([task.batch(step)[0][:, :1024] for step in range(40)]).ravel())
    assert counts[0] == 0 and len(counts) == 63
    expected = counts.sum() / 62
    assert np.abs(counts[1:] - expected).max() < 5 * np.sqrt(expected)  # uniform


def test_loss_skips_what_is_not_asked_for() -> None:
    tokens, targets = Copying(batch_size=2, seed=0, symbols=3, vocab_size=5).batch(0)
    logits = torch.full((*tokens.shape, 5), -30.0)
    logits[:, 3:].scatter_(2, tokens[:, :3, None], 30.0)  # right where it counts, nonsense before
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
    assert loss < 1e-6


@pytest.mark.parametrize(
    ("length", "lag", "cutoff"), [(4000, 1000, 0.5), (64, 1, 1.0), (10, 9, 0.2)]
)
def test_delay_gives_back_the_signal(length: int, lag: int, cutoff: float) -> None:
    task = Delay(batch_size=3, seed=0, length=length, lag=lag, cutoff=cutoff)
    signal, target = task.batch(1)
    assert signal.shape == target.shape == (3, length, 1) and signal.dtype == torch.float32
    for time in range(length):
        expected = signal[:, time - lag] if time >= lag else torch.zeros(3, 1)
        assert torch.equal(target[:, time], expected)
    assert (signal[:, 0] == 0).all()


def test_delay_is_band_limited_white_noise() -> None:
    signal = Delay(batch_size=400, seed=0).batch(0)[0].squeeze(-1).double().numpy()
    signal -= signal.mean(1, keepdims=True)
    spectrum = np.abs(np.fft.rfft(signal, axis=1)) ** 2
    assert spectrum[:, 1001:].max() < 1e-6 * spectrum[:, 1:1001].mean()
    power = spectrum[:, 1:1001].mean(0)  # over 400 signals: exponential, spread 1 / 20
    assert np.abs(power / power.mean() - 1).max() < 0.25
    assert np.sqrt((signal**2).mean()) == pytest.approx(0.5, rel=0.01)


@pytest.mark.parametrize("task", [Copying, Delay])
def test_batches_depend_on_seed_and_step(task: type[Copying] | type[Delay]) -> None:
    first = [task(batch_size=2, seed=0).batch(step)[0] for step in range(3)]
    again = task(batch_size=2, seed=0)
    assert torch.equal(again.batch(2)[0], first[2]) and torch.equal(again.batch(0)[0], first[0])
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(task(batch_size=2, seed=1).batch(0)[0], first[0])


def test_bad_sizes_are_named() -> None:
    with pytest.raises(ValueError, match="symbols must be at least 1, given 0"):
        Copying(batch_size=1, seed=0, symbols=0)
    with pytest.raises(ValueError, match="given -1 and 64"):
        Copying(batch_size=1, seed=0, blanks=-1)
    with pytest.raises(ValueError, match="given 0 and 2"):
        Copying(batch_size=1, seed=0, vocab_size=2)
    for options in ({"length": 7}, {"lag": 4000}, {"cutoff": 0.0}, {"cutoff": 1.5}):
        with pytest.raises(ValueError, match="length is even, lag below it, and cutoff"):
            Delay(batch_size=1, seed=0, **options)
    with pytest.raises(ValueError, match="lag must be at least 1, given 0"):
        Delay(batch_size=1, seed=0, lag=0)
