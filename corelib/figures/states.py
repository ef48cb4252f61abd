"""Pictures of a widget's states, for pages that no kernel stands behind."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Callable, Iterable, Iterator

import ipywidgets


class Pictured(ipywidgets.VBox):
    """A box that hands out pictures of some of its states too, for pages without a kernel.

    states  called when the box is shown; gives (what is chosen, text, pictures as PNG) of each
    """

    def __init__(self, children: list, states: Callable[[], Iterable[tuple[str, str, list]]]):
        super().__init__(children)
        self.states = states

    def _repr_mimebundle_(self, **keywords) -> dict:
        return super()._repr_mimebundle_(**keywords) | {"text/html": _slides(self.states())}


def _slides(states: Iterable[tuple[str, str, list[bytes]]]) -> str:
    """A slider through pictures, in HTML that needs no other file."""
    slides = []
    for chosen, text, pictures in states:
        plain = html.unescape(re.sub("<[^>]*>", "", text))
        alternative = html.escape(f"{chosen}. {plain}".strip())
        sources = [base64.b64encode(png).decode("ascii") for png in pictures]
        images = [f'<img alt="{alternative}" src="data:image/png;base64,{png}">' for png in sources]
        hidden = " hidden" * bool(slides)
        slides.append(f"<div{hidden}><p>{html.escape(chosen)}. {text}</p>{''.join(images)}</div>")
    move = "[...this.parentNode.children].slice(1).forEach((s, i) => s.hidden = i != this.value)"
    slider = (
        f'<input type="range" value="0" max="{len(slides) - 1}" style="width: 20rem; max-width:'
        f' 100%" aria-label="Which picture" oninput="{html.escape(move)}">'
    )
    return f'<div class="states">{slider}{"".join(slides)}</div>'


def walk(control: ipywidgets.Widget, values: Iterable, *shown: ipywidgets.Widget) -> Iterator:
    """The states of a widget at some values of a control, which then has its own again."""
    before, name = control.value, control.description
    for value in values:
        control.value = value
        texts = [part.value for part in shown if isinstance(part, ipywidgets.HTML)]
        pictures = [part.value for part in shown if isinstance(part, ipywidgets.Image)]
        yield f"{name} = {value}", " ".join(texts), pictures
    control.value = before
