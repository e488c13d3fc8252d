"""Sizes at which a fast Fourier transform is fast."""


def fast_size(minimum: int) -> int:
    """The smallest even number ≥ ``minimum`` with no prime factor above 7.

    Such sizes are fast in every FFT library; even ones let a real transform run as a complex
    one of half the length. For n = 1000 the next power of two costs 2048, this 2000.

    Args:
        minimum: the size needed, at least 1.

    Raises:
        ValueError: ``minimum`` is below 1.

    >>> [fast_size(n) for n in (1, 3, 1023, 1999)]
    [2, 4, 1024, 2000]
    """
    if minimum < 1:
        raise ValueError(f"an FFT has at least one point, got a minimum of {minimum}")
    best = 2 << ((minimum - 1) // 2).bit_length()  # a power of two, never far more than needed
    odd7 = 1
    while odd7 < best:
        odd5 = odd7
        while odd5 < best:
            odd3 = odd5
            while odd3 < best:
                size = odd3 << max(1, ((minimum - 1) // odd3).bit_length())
                best = min(best, size)
                odd3 *= 3
            odd5 *= 5
        odd7 *= 7
    return best
