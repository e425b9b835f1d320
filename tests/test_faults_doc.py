"""docs/faults.md keeps its word: every row names tests that exist, and quotes messages that exist."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "faults.md").read_text("utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TEXT.splitlines()
    if line.startswith("|") and not line.startswith(("|---", "| fault |"))
]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


@cache
def names_in(path):
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@cache
def messages():
    """Every string that the package's code writes; the parts that are filled in read "..."."""
    found = []
    for path in (ROOT / "pamir_blender").rglob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
        unsaid = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}  # docstrings
        for node in nodes:
            if id(node) in unsaid:
                continue
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
            elif isinstance(node, ast.JoinedStr):
                parts = (p.value if isinstance(p, ast.Constant) else "..." for p in node.values)
                found.append("".join(map(str, parts)))
    return found


def quoted(cell):
    return re.findall(r"(?<!\*)\*([^*]+)\*(?!\*)", cell)


def is_said(words):
    """Whether one message holds all parts of ``words`` between its "...", in their order."""
    pattern = re.compile(".*".join(re.escape(part.strip()) for part in words.split("...")), re.DOTALL)
    return any(pattern.search(message) for message in messages())


def test_there_are_rows():
    assert len(ROWS) > 50 and {len(row) for row in ROWS} == {4}
    assert all(cell for row in ROWS for cell in row)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_row_names_tests_that_exist(row):
    named = NAMED.findall(row[3])
    assert named and row[3] == "<br>".join(f"`{path}::{name}`" for path, name in named)
    missing = [f"{path}::{name}" for path, name in named if name not in names_in(path)]
    assert not missing


@pytest.mark.parametrize("row", [row for row in ROWS if quoted(row[1])], ids=lambda row: row[0])
def test_every_quoted_message_is_one(row):
    assert [words for words in quoted(row[1]) if not is_said(words)] == []


def test_the_checks_above_can_fail():
    assert not is_said("The moon is full. Make room") and not is_said("Make room ... The disk of")
    assert "test_nothing_of_the_kind" not in names_in("tests/test_faults_doc.py")
