"""`make format`: formatted code comes back into a page, and nothing else of the page moves."""

import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).resolve().parents[2] / "book/_ext/format_cells.py"

PAGE = """\
# Title

```{code-cell} ipython3
:tags: [remove-cell]

x=1
```

```{code-cell} ipython3
---
mystnb:
  figure:
    caption: >
      Two lines of
      caption.
---
plot( x )
```

```python
y=2
```
"""


@pytest.fixture(scope="module")
def format_cells():
    spec = importlib.util.spec_from_file_location("format_cells", PATH)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_only_the_code_changes(format_cells) -> None:
    formatted = format_cells.with_code(PAGE, ["x = 1", "plot(x)"])
    assert formatted == PAGE.replace("x=1", "x = 1").replace("plot( x )", "plot(x)")
    assert format_cells.with_code(formatted, ["x = 1", "plot(x)"]) == formatted


def test_a_stale_pair_is_refused(format_cells) -> None:
    with pytest.raises(ValueError, match=r"2 code cells in the page, 1 in its \.ipynb"):
        format_cells.with_code(PAGE, ["x = 1"])
