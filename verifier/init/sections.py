"""The template's text in sections. A draft adds remarks to a section, rewrites lines of it, or comments it out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from verifier.model.redact import clean
from verifier.profile.relations import Column

_HEADER = re.compile(r"\[([A-Za-z0-9_.]+)\]")


def one_line(text: str) -> str:
    """Foreign text, such as an object's name or an error, made safe for a TOML comment: it cannot end the line."""
    return " ".join(clean(text).split())


@dataclass
class Section:
    """A TOML table with its lines, or the text between two tables (`name` is empty)."""

    name: str
    lines: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The section as it is written to the file."""
        return "\n".join(self.lines)

    def remark(self, text: str) -> None:
        """Put a comment above the header."""
        self.lines.insert(0, f"# {one_line(text)}")

    def comment_out(self, reason: str) -> None:
        """Comment out the whole section, with the reason above it."""
        end = len(self.lines)
        while end and not self.lines[end - 1].strip():
            end -= 1
        self.lines[:end] = [f"# {line}".rstrip() for line in self.lines[:end]]
        self.remark(reason)

    def replace_line(self, key: str, line: str) -> None:
        """Replace the line that sets `key`; its comment at the end stays."""
        index = self._index(key)
        before = self.lines[index]
        comment = re.search(r'\s+#[^"\']*\Z', before)
        self.lines[index] = line + (comment[0] if comment and "#" not in line else "")

    def comment_line(self, key: str, reason: str) -> None:
        """Comment out the line that sets `key`, with the reason at its end."""
        index = self._index(key)
        self.lines[index] = f"# {self.lines[index]}    # {one_line(reason)}"

    def _index(self, key: str) -> int:
        return next(index for index, line in enumerate(self.lines) if line.startswith(f"{key} ="))


def split_sections(text: str) -> list[Section]:
    """The sections of a text, in order. Joined by line breaks they give the text again."""
    sections = [Section(name="")]
    for line in text.split("\n"):
        if (header := _HEADER.match(line)) is not None:
            sections.append(Section(name=header[1]))
        elif line.startswith("# ----"):
            sections.append(Section(name=""))
        sections[-1].lines.append(line)
    return sections


def column_line(logical: str, column: Column) -> str:
    """`columns.NAME = …`, in its short form if possible."""
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
