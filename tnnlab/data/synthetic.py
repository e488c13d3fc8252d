"""Memory tasks, made as they are needed: Copying and Delay."""

import numpy as np
import torch
from torch import Tensor

from tnnlab.data.batches import _check_positive

IGNORED = -100  # the target of a position that is not asked for, which torch's cross_entropy skips


class Copying:
    """Copying: read symbols, then write them down again in order (Arjovsky et al., 2016).

    A sample is ``symbols`` tokens of 1 … vocab_size - 2, uniform; then ``blanks`` times token 0;
    then ``symbols`` times the token vocab_size - 1, at which the symbols are asked for.

    The defaults are those of RTF (Parnichkun et al., ICML 2024): 1,024 symbols, no blanks, 64
    tokens; there in batches of 8, 10,000 samples an epoch for 50 epochs, evaluated on 1,000.

    Batches are a pure function of seed and step. Evaluate with another seed.

    Args:
        batch_size: samples of a batch.
        seed: of the symbols.
        symbols, blanks: see above.
        vocab_size: at least 3.

    Raises:
        ValueError: a size out of range.

    >>> tokens, targets = Copying(batch_size=2, seed=0, symbols=4, vocab_size=8).batch(0)
    >>> tokens.shape, torch.equal(tokens[:, :4], targets[:, 4:])
    (torch.Size([2, 8]), True)
    """

    def __init__(
        self,
        *,
        batch_size: int,
        seed: int,
        symbols: int = 1024,
        blanks: int = 0,
        vocab_size: int = 64,
    ) -> None:
        _check_positive(batch_size=batch_size, symbols=symbols)
        if blanks < 0 or vocab_size < 3:
            raise ValueError(
                "blanks is at least 0, and vocab_size at least 3 (a symbol, the blank, the "
                f"marker); given {blanks} and {vocab_size}"
            )
        self.batch_size, self.seed = batch_size, seed
        self.symbols, self.blanks, self.vocab_size = symbols, blanks, vocab_size
        self.length = 2 * symbols + blanks

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Tokens and targets of a step (from 0), int64 of ``(batch_size, length)``.

        A target is the symbol that is asked for at its position, -100 where none is.
        """
        rng = np.random.default_rng([self.seed, step])
        symbols = rng.integers(1, self.vocab_size - 1, (self.batch_size, self.symbols))
        tokens = np.zeros((self.batch_size, self.length), np.int64)
        tokens[:, : self.symbols] = symbols
        tokens[:, -self.symbols :] = self.vocab_size - 1
        targets = np.full_like(tokens, IGNORED)
        targets[:, -self.symbols :] = symbols
        return torch.from_numpy(tokens), torch.from_numpy(targets)


class Delay:
    """Delay: give back a signal as it was ``lag`` steps ago (Gu et al., "How to train your HiPPO",
    ICLR 2023, "Continuous Delay").

    The signal is white noise below a cut-off frequency, of root mean square 0.5, shifted so that it
    begins at 0. The defaults are those of the published configurations: 4,000 steps, a lag of
    1,000, cut off at half of the Nyquist frequency; there 16,384 samples an epoch for 20 epochs in
    batches of 64, evaluated on 1,024 by the root mean square error.

    Batches are a pure function of seed and step. Evaluate with another seed.

    Args:
        batch_size: samples of a batch.
        seed: of the signals.
        length: steps of a signal, even.
        lag: 1 … length - 1.
        cutoff: highest frequency as a share of the Nyquist frequency, in (0, 1].

    Raises:
        ValueError: a value out of range.

    >>> signal, target = Delay(batch_size=2, seed=0, length=100, lag=10).batch(0)
    >>> signal.shape, torch.equal(target[:, 10:], signal[:, :-10])
    (torch.Size([2, 100, 1]), True)
    """

    def __init__(
        self,
        *,
        batch_size: int,
        seed: int,
        length: int = 4000,
        lag: int = 1000,
        cutoff: float = 0.5,
    ) -> None:
        _check_positive(batch_size=batch_size, lag=lag)
        if length % 2 or lag >= length or not 0 < cutoff <= 1 or cutoff * length < 2:
            raise ValueError(
                "length is even, lag below it, and cutoff in (0, 1] leaves one frequency at least "
                f"(cutoff * length >= 2); given length {length}, lag {lag}, cutoff {cutoff}"
            )
        self.batch_size, self.seed = batch_size, seed
        self.length, self.lag, self.cutoff = length, lag, cutoff

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Signals and targets of a step (from 0), float32 of ``(batch_size, length, 1)``.

        The target is 0 for the first ``lag`` steps.
        """
        rng = np.random.default_rng([self.seed, step])
        # Frequencies 1 … kept: no constant part, and not the Nyquist frequency, which has no phase.
        kept = min(int(self.cutoff * self.length / 2), self.length // 2 - 1)
        spectrum = np.zeros((self.batch_size, self.length // 2 + 1), complex)
        parts = rng.normal(size=(2, self.batch_size, kept))
        spectrum[:, 1 : kept + 1] = parts[0] + 1j * parts[1]
        # Each frequency adds (2 / length)² of variance, for two parts of variance 1.
        signal = np.fft.irfft(spectrum, axis=1) * (0.5 * self.length / (2 * np.sqrt(kept)))
        signal = (signal - signal[:, :1])[..., None].astype(np.float32)
        target = np.zeros_like(signal)
        target[:, self.lag :] = signal[:, : -self.lag]
        return torch.from_numpy(signal), torch.from_numpy(target)
