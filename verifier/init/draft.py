"""The draft of a profile: the template, adapted section by section to what was found in the stores."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from verifier.init.addresses import Addresses
from verifier.init.section_writer import VARIABLES, Remark, SectionWriter
from verifier.init.sections import one_line
from verifier.init.survey import Survey
from verifier.init.unmapped import unmapped

_VARIABLE = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True, kw_only=True)
class Draft:
    """The profile's text, a remark for each section, and the environment variables that it reads, with values safe to show."""

    text: str
    remarks: tuple[Remark, ...]
    variables: Mapping[str, str]


def draft(stack: str, addresses: Addresses, survey: Survey, *, today: datetime | None = None) -> Draft:
    """Write the draft. A pure function: all that it knows of the stores is in the survey."""
    writer = SectionWriter(stack, addresses, survey)
    writer.write()
    # Editors look for the schema in the first line of the file.
    directive, _, body = "\n".join(section.text for section in writer.sections).partition("\n")
    active = "\n".join(line for line in body.split("\n") if not line.startswith("#"))
    variables = {name: writer.shown_urls.get(name, "…") for name in dict.fromkeys(_VARIABLE.findall(active))}
    head = _head(today or datetime.now(UTC), survey, variables)
    text = "\n".join([body.rstrip("\n"), *unmapped(survey, writer.used), ""])
    return Draft(text=f"{directive}\n{head}\n{text}", remarks=tuple(writer.remarks), variables=variables)


def _head(now: datetime, survey: Survey, variables: Mapping[str, str]) -> str:
    inspected = [f"{role} ({survey.versions[role]})" for role in VARIABLES if role in survey.versions]
    source = f" from {one_line(', '.join(inspected))}" if inspected else ""
    intro = f"Written by `verifier init` on {now:%Y-%m-%d}{source}. Read it through: every guess is marked `check`."
    lines = [
        "#",
        *textwrap.wrap(intro, width=116, initial_indent="# ", subsequent_indent="# "),
        "# It holds no secret. Export the variables that it reads:",
        *(f"#   export {name}={shown!r}" for name, shown in variables.items()),
    ]
    return "\n".join(lines)
