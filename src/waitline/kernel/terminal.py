"""Output on a terminal: styles without markup, and no text that could control the terminal."""

from typing import Any

from rich.console import Console
from rich.text import Text
from typing_extensions import override

from waitline.kernel.escapes import visible


class Terminal(Console):
    """A console that prints every text as it is.

    Rich's own console takes `[/bold]` for markup and `:smile:` for an emoji, also in the name of a
    room. Styles come from `styled` alone.

    Args:
        stderr: Whether it is standard error.
        options: Rich's others, such as `soft_wrap`.
    """

    def __init__(self, *, stderr: bool = False, **options: Any) -> None:  # noqa: ANN401 - Rich's
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False, **options)

    @override
    def render_str(self, text: str, **options: Any) -> Text:
        """See Rich; control characters are escaped."""
        return super().render_str(visible(text, multiline=True), **options)


def styled(*parts: str | tuple[str, str]) -> Text:
    """Return a text of parts, some of which have a style."""
    return Text.assemble(
        *(
            visible(part, multiline=True)
            if isinstance(part, str)
            else (visible(part[0], multiline=True), part[1])
            for part in parts
        )
    )
