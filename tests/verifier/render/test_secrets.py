"""No file that is rendered contains a secret."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.verifier.render.leaking import PLANTED, SECRETS, leaking_result
from verifier.render.html import ReportSection, render_html
from verifier.render.json import to_json
from verifier.render.junit import to_junit


@pytest.mark.parametrize(
    "render",
    [
        lambda result: json.dumps(to_json(result), ensure_ascii=False),
        to_junit,
        lambda result: render_html([ReportSection(heading=PLANTED, prose=PLANTED, result=result)], title=PLANTED),
    ],
    ids=["json", "junit", "html"],
)
def test_no_renderer_shows_a_secret(render: Any) -> None:
    """Secrets are planted in every text field. The raw key of a finding is not shown either."""
    text = render(leaking_result())
    assert "[hidden]" in text
    for secret in SECRETS:
        assert secret not in text
