"""How the cells of the notebook become one page: sections, what is folded, and a table of contents."""

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

FOLDED = "folded"  # the tag of a heading's cell whose section is closed until somebody opens it

STYLE, SCRIPT = (Path(__file__).with_name(f"page.{kind}") for kind in ("css", "js"))

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<nav aria-label="Contents"><div>{contents}</div></nav>
<main>
{body}
</main>
<script>
{script}</script>
</body>
</html>
"""


@dataclass(frozen=True)
class Fragment:
    """What one cell of the notebook comes to.

    Attributes:
        html: its prose, or what it showed.
        name: under which it is linked to.
        folded: whether the section that it begins is closed at first.
    """

    html: str
    name: str = ""
    folded: bool = False

    @property
    def level(self) -> int:
        """1 to 3 where it begins with a heading, else 0."""
        found = re.match(r"\s*<h([123])\b", self.html)
        return int(found[1]) if found else 0

    @property
    def title(self) -> str:
        """The heading that it begins with."""
        return re.sub(r"<[^>]+>", "", re.split(r"</h[123]>", self.html)[0]).strip()

    @property
    def rest(self) -> str:
        """What comes after that heading."""
        return re.split(r"</h[123]>", self.html, maxsplit=1)[-1]


def page(title: str, fragments: Iterable[Fragment]) -> str:
    """Return the page: a file that loads nothing."""
    fragments = list(fragments)
    return PAGE.format(
        title=html.escape(title),
        style=STYLE.read_text(encoding="utf-8"),
        script=SCRIPT.read_text(encoding="utf-8"),
        contents=_contents(fragments),
        body=_body(fragments),
    )


def _contents(fragments: Iterable[Fragment]) -> str:
    return "\n".join(f'<a href="#{each.name}">{each.title}</a>' for each in fragments if each.level in (1, 2))


def _shows(fragments: Iterable[Fragment]) -> bool:
    """Return whether any of ``fragments`` shows more than the sentence that there is nothing to show."""
    return not any("Not measured: " in each.html for each in fragments) or any(
        tag in each.html for each in fragments for tag in ("<table", "<img")
    )


def _body(fragments: Sequence[Fragment]) -> str:
    """Return the sections, each within the one above it; it lasts until a heading of its level or a higher one."""
    parts: list[str] = []
    open_: list[tuple[int, str]] = []
    for i, each in enumerate(fragments):
        level = each.level
        while level and open_ and open_[-1][0] >= level:
            parts.append(open_.pop()[1])
        if not level:
            parts.append(each.html)
        elif each.folded:
            within = takewhile(lambda one: not one.level, fragments[i + 1 :])
            aside = "" if _shows([each, *within]) else " <small>not measured in this run</small>"
            parts.append(f'<details id="{each.name}"><summary>{each.title}{aside}</summary>{each.rest}')
            open_.append((level, "</details>"))
        else:
            parts.append(f'<section id="{each.name}"><h{level}>{each.title}</h{level}>{each.rest}')
            open_.append((level, "</section>"))
    return "\n".join([*parts, *(end for _, end in reversed(open_))])
