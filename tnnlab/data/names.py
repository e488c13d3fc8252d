"""Refuse an unknown name, and say which one was probably meant."""

import difflib
from collections.abc import Sequence


def check_name(kind: str, given: str, allowed: Sequence[str]) -> None:
    """Raise ValueError unless ``given`` is one of ``allowed``.

    The message lists the allowed names, and the nearest one where there is one:
    ``unknown corpus 'wikitext': choose one of stdlib, text, wikipedia, wikitext103 (did you
    mean 'wikitext103'?)``.
    """
    if given in allowed:
        return
    near = difflib.get_close_matches(str(given), allowed, n=1, cutoff=0.5)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise ValueError(f"unknown {kind} {given!r}: choose one of {', '.join(allowed)}{hint}")
