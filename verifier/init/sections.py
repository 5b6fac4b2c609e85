"""The template's text in sections, and the three things that a proposal does to one: remark, rewrite, comment out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from verifier.model.redact import clean
from verifier.profile.relations import Column

_HEADER = re.compile(r"\[([A-Za-z0-9_.]+)\]")


def one_line(text: str) -> str:
    """Foreign text, such as an object's name or an error, fit for a TOML comment: nothing in it can end the line."""
    return " ".join(clean(text).split())


@dataclass
class Section:
    """A header with what belongs to it, or the text between two sections (`name` is empty)."""

    name: str
    lines: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """As it will be written."""
        return "\n".join(self.lines)

    def remark(self, text: str) -> None:
        """Say something above the header."""
        self.lines.insert(0, f"# {one_line(text)}")

    def comment_out(self, reason: str) -> None:
        """Take the section out of force, and say why."""
        end = len(self.lines)
        while end and not self.lines[end - 1].strip():
            end -= 1
        self.lines[:end] = [f"# {line}".rstrip() for line in self.lines[:end]]
        self.remark(reason)

    def replace_line(self, key: str, line: str) -> None:
        """Put another line in the place of the one that sets `key`; a comment behind it stays."""
        index = self._index(key)
        before = self.lines[index]
        comment = re.search(r'\s+#[^"\']*\Z', before)
        self.lines[index] = line + (comment[0] if comment and "#" not in line else "")

    def comment_line(self, key: str, reason: str) -> None:
        """Take one line out of force, and say why."""
        index = self._index(key)
        self.lines[index] = f"# {self.lines[index]}    # {one_line(reason)}"

    def has(self, key: str) -> bool:
        """Whether a line sets `key`."""
        return any(line.startswith(f"{key} =") for line in self.lines)

    def _index(self, key: str) -> int:
        return next(index for index, line in enumerate(self.lines) if line.startswith(f"{key} ="))


def split_sections(text: str) -> list[Section]:
    """The text's sections, in order; joined by line breaks they are the text again."""
    sections = [Section(name="")]
    for line in text.split("\n"):
        if (header := _HEADER.match(line)) is not None:
            sections.append(Section(name=header[1]))
        elif line.startswith("# ----"):
            sections.append(Section(name=""))
        sections[-1].lines.append(line)
    return sections


def column_line(logical: str, column: Column) -> str:
    """`columns.NAME = …`, as short as it can be."""
    source = toml_text(column.column)
    if column.type == "text" and not column.sensitive:
        return f"columns.{logical} = {source}"
    parts: Mapping[str, str] = {
        "column": source,
        **({"type": toml_text(column.type)} if column.type != "text" else {}),
        **({"sensitive": "true"} if column.sensitive else {}),
    }
    return f"columns.{logical} = {{ {', '.join(f'{name} = {value}' for name, value in parts.items())} }}"


def toml_text(text: str) -> str:
    """A TOML string."""
    import tomlkit

    return tomlkit.item(text).as_string()
