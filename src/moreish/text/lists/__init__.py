"""The lists that come with Moreish: one text file each, with a title and a line on where it comes from."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Bundled:
    """One bundled list: `names` is the file `names.txt` in this directory."""

    name: str
    path: Path
    title: str
    source: str

    @cached_property
    def lines(self) -> int:
        """How many things it lists."""
        return sum(1 for line in self.path.read_bytes().split(b"\n") if line)


@cache
def bundled() -> dict[str, Bundled]:
    """The bundled lists by name, sorted; every `*.txt` here, described by its table in SOURCES.toml."""
    sources = tomllib.loads((HERE / "SOURCES.toml").read_text(encoding="utf-8"))
    return {
        path.stem: Bundled(path.stem, path, sources[path.stem]["title"], sources[path.stem]["source"])
        for path in sorted(HERE.glob("*.txt"))
    }
