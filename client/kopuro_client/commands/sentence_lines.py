"""Sentences and names as lines of at most 80 columns."""

from __future__ import annotations

import re
import textwrap
from typing import Final

from kopuro_client.commands.output import Output

WIDTH: Final = 80
NO_BREAK: Final = "\u00a0"
_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d)")


def show_wrapped(out: Output, text: str, *, first: str = "", following: str | None = None) -> None:
    """Print the text in lines of at most 80 columns. Ids are never broken, so that they can be copied.

    Times are not broken either. A no-break space in the text is printed as a space at which no line ends.

    first: the indent of the first line, such as a bullet. following: that of the others; by default spaces.
    """
    indent = " " * len(first) if following is None else following
    lines = textwrap.wrap(
        _TIME.sub(rf"\1{NO_BREAK}\2", text),
        WIDTH,
        initial_indent=first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    for line in lines:
        out.text(line.replace(NO_BREAK, " "))
