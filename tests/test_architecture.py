"""House rules that no linter knows: sizes, first sentences, and nothing patched."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILE_LINES = 300
FUNCTION_LINES = 40

SOURCES = sorted([*(ROOT / "scenario_runner").rglob("*.py"), *(ROOT / "agent" / "fault_agent").rglob("*.py")])
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_a_source_file_is_read_in_one_go_and_opens_with_what_it_is(path):
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    functions = [one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
    too_long = [one.name for one in functions if (one.end_lineno or 0) - one.lineno + 1 > FUNCTION_LINES]
    assert source.count("\n") <= FILE_LINES
    assert too_long == []
    assert ast.get_docstring(tree)


def test_tests_pass_fakes_in_and_patch_nothing():
    words = ("unittest.mock", "MagicMock", "monkeypatch.setattr")
    found = [(name(path), word) for path in TESTS for word in words if word in path.read_text(encoding="utf-8")]
    assert found == [(name(Path(__file__)), word) for word in words]


def test_every_kind_of_step_is_used_by_a_shipped_scenario_or_has_its_own_test():
    kinds = {path.stem for path in (ROOT / "scenario_runner" / "steps").glob("[a-z]*.py")}
    tested = {path.stem.removeprefix("test_") for path in (ROOT / "tests" / "steps").glob("test_*.py")}
    assert kinds - tested == set()
