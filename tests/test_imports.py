"""The modules of the repository import each other without cycles.

import-linter checks the rules of ARCHITECTURE.md, cycles between sibling packages among them. Inside the OpenIM double, packages
may use each other in both directions as long as no modules do; this test covers that.
"""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter

import grimp
import pytest

PACKAGES = ("verifier", "fixtures", "suites", "load", "reports", "tests")


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Local imports and imports for type checking count as well."""
    graph = grimp.build_graph(*PACKAGES, exclude_type_checking_imports=False)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert len(imports) > 500
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(reversed(error.args[1])))
