"""A figure as SVG within a page: in the reader's colours, light or dark, with names of its own, and without styles.

matplotlib writes every colour into a style attribute, which a strict content security policy refuses. Here each style
becomes a class of the page's one stylesheet, and each colour of the look a custom property of the page, so that one
drawing serves a light page and a dark one.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING

from moreish.faces.plot import DARK, LIGHT, Look, rendered

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
COLOURS = tuple(f.name for f in fields(Look) if f.name != "scale")
MARKED = {name: f"#f0a{i:03x}" for i, name in enumerate(COLOURS)}
"""A colour for each name of the look, which no figure has by accident."""
PAGE = Look(**MARKED, scale=LIGHT.scale)
"""The look to draw in, for `Inline`."""


class Inline:
    """The drawings of one page, and the styles that they share.

    Args:
        font: the families that the page's letters are drawn in, for CSS.
    """

    def __init__(self, font: str):
        from matplotlib import colormaps
        from matplotlib.colors import to_hex

        self.font = font
        self._classes: dict[str, str] = {}
        self._ids: dict[str, dict[str, str]] = {}
        places = range(colormaps[LIGHT.scale].N)
        self._scale = {to_hex(colormaps[LIGHT.scale](i)): i for i in places}
        self._of_dark = [to_hex(colormaps[DARK.scale](i)) for i in places]
        self._places: dict[int, str] = {}

    @property
    def css(self) -> str:
        """The rules of every class that the drawings so far refer to."""
        rules = [f".{name}{{{style}}}" for style, name in self._classes.items()]
        return "".join([".drawn *{stroke-linejoin:round;stroke-linecap:butt}", *rules])

    def colours(self, dark: bool) -> str:
        """The custom properties that the drawings so far need beside the look's: places on the scale of many curves."""
        told = sorted(self._places.items())
        return "".join(f"--scale{i}:{self._of_dark[i] if dark else light};" for i, light in told)

    def draw(self, name: str, make: Callable[[Look], Figure], sentence: str) -> str:
        """A figure as an element of the page.

        Args:
            name: unlike those of the page's other drawings; all ids in it begin with it.
            make: gives the figure in a look.
            sentence: what is to be seen, for those who cannot see it.
        """
        assert name not in self._ids, name
        self._ids[name] = {}
        root = ElementTree.fromstring(rendered(make(PAGE), "svg"))
        for parent in list(root.iter()):
            for child in list(parent):
                if _local(child.tag) in ("metadata", "style"):
                    parent.remove(child)
        needed = _referred_to(root)
        for element in root.iter():
            element.tag = _local(element.tag)
            if element.get("id") not in needed:
                element.attrib.pop("id", None)
            if element.tag != "text":  # line breaks between elements, a tenth of the file
                element.text = None if (element.text or "").isspace() else element.text
            element.tail = None if (element.tail or "").isspace() else element.tail
            self._clean(element, name)
        box = root.get("viewBox", "")
        root.attrib.clear()
        root.attrib.update({"viewBox": box, "class": "drawn", "role": "img", "aria-label": sentence})
        return ElementTree.tostring(root, encoding="unicode", short_empty_elements=False)

    def _clean(self, element: ElementTree.Element, name: str) -> None:
        style = element.attrib.pop("style", None)
        for key in list(element.attrib):
            value = element.attrib.pop(key)
            local = _local(key)
            if local == "id":
                value = self._id(name, value)
            elif local == "href" and value.startswith("#"):
                value = f"#{self._id(name, value[1:])}"
            value = re.sub(r"url\(#([^)]+)\)", lambda found: f"url(#{self._id(name, found[1])})", value)
            element.attrib[local] = value
        if style:
            element.set("class", self._class_of(style))

    def _id(self, name: str, given: str) -> str:
        """An id of the page: some of matplotlib's own are another each time."""
        ids = self._ids[name]
        return f"{name}-{ids.setdefault(given, str(len(ids)))}"

    def _class_of(self, style: str) -> str:
        """The class of a style, in the page's colours and font."""
        parts = [self._in_page(*map(str.strip, part.split(":", 1))) for part in style.split(";") if ":" in part]
        return self._classes.setdefault(";".join(parts), f"d{len(self._classes)}")

    def _in_page(self, key: str, value: str) -> str:
        if key == "font":
            size = re.search(r"[\d.]+px", value)
            bold = "bold" if re.search(r"\b(bold|[6-9]00)\b", value) else "normal"
            return f"font:{bold} {size[0] if size else '9px'} {self.font}"
        for name, marked in MARKED.items():
            value = value.replace(marked, f"var(--{name})")
        return f"{key}:{re.sub('#[0-9a-f]{6}', self._on_scale, value)}"

    def _on_scale(self, found: re.Match[str]) -> str:
        place = self._scale.get(found[0])
        if place is None:
            return found[0]
        self._places[place] = found[0]
        return f"var(--scale{place})"


def _referred_to(root: ElementTree.Element) -> set[str]:
    """The ids that something in a drawing refers to."""
    values = [value for element in root.iter() for value in element.attrib.values()]
    hrefs = {value[1:] for value in values if value.startswith("#")}
    return hrefs.union(*(re.findall(r"url\(#([^)]+)\)", value) for value in values))


def _local(name: str) -> str:
    return name.rsplit("}", 1)[-1]
