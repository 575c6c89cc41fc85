"""How does Liquid keep its place while the markup around it is worked on?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import count

from dripdrop.rules.markup import pieces


@dataclass(frozen=True, slots=True)
class Held:
    """A template whose Liquid was taken out: `parts` stood where the marks stand now."""

    text: str
    parts: tuple[str, ...]
    mark: str

    def release(self, text: str) -> str:
        """A text made from `text`, with the Liquid put back where its marks went."""
        # A mark that stood for attributes was taken for one without a value.
        marks = re.compile(rf'<!--{self.mark}(\d+)q-->|{self.mark}(\d+)q(?:="")?')
        return marks.sub(lambda found: self.parts[int(found[1] or found[2])], text)

    def line_of(self, at: int) -> int:
        """The line, in the template, of a place in `text`."""
        return self.release(self.text[:at]).count("\n") + 1


def hold(text: str) -> Held:
    """The template with a mark for each piece of Liquid, which compilers of markup pass on as they find it.

    Between tags a block is held by a comment: in a table any text would be moved out of it.
    """
    lower = text.lower()
    mark = next(mark for n in count() if (mark := f"xlq{n or ''}x") not in lower)
    parts: list[str] = []
    said: list[str] = []
    for piece in pieces(text, html=True):
        if not piece.liquid:
            said.append(piece.text)
            continue
        name = f"{mark}{len(parts)}q"
        said.append(f"<!--{name}-->" if piece.liquid == "block" and piece.context == "words" else name)
        parts.append(piece.text)
    return Held("".join(said), tuple(parts), mark)
