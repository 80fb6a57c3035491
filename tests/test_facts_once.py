"""A fact of AWS stands once: in the room `facts`, or in a data file that it reads."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from cml_iam.facts import EXAMPLE_REGIONS, all_regions

ROOMS = Path(__file__).parents[1] / "cml_iam"


def texts() -> Iterator[tuple[str, str]]:
    """Yield every text in the code that is no docstring, with its file."""
    for path in ROOMS.rglob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        statements = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
        for node in ast.walk(tree):
            is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
            if is_text and id(node) not in statements:
                yield str(path.relative_to(ROOMS)), node.value


def files_with(part: str) -> set[str]:
    return {file for file, text in texts() if part in text}


def test_the_chinese_name_of_ec2_stands_once() -> None:
    assert files_with("amazonaws.com.cn") == {"facts/_arns.py"}


def test_the_partitions_are_listed_once() -> None:
    listed = {
        str(path.relative_to(ROOMS))
        for path in ROOMS.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Tuple | ast.List | ast.Set)
        and {"aws", "aws-cn"} <= {elt.value for elt in node.elts if isinstance(elt, ast.Constant)}
    }

    assert listed <= {"facts/_partitions.py"}


def test_regions_are_listed_nowhere_but_among_the_facts() -> None:
    regions = set(all_regions())
    by_file: dict[str, set[str]] = defaultdict(set)
    for file, text in texts():
        if text in regions:
            by_file[file].add(text)

    # One or two are a default or an example; more are a list of what AWS has.
    listed = {file for file, named in by_file.items() if len(named) > 2}

    assert listed - {"cli/_demo.py"} == {"facts/_arns.py"}
    assert {region for each in EXAMPLE_REGIONS.values() for region in each} <= regions


@pytest.mark.parametrize("text", ["999999999999", "i-0foreign000000001"])
def test_what_stands_for_something_foreign_stands_once(text: str) -> None:
    assert {file for file, found in texts() if found == text} <= {"facts/_arns.py", "cli/_demo.py"}


def test_the_age_at_which_a_key_is_rotated_stands_once() -> None:
    ages = {
        str(path.relative_to(ROOMS))
        for path in ROOMS.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and node.value == 90 and type(node.value) is int
    }

    # `_usage` has how long a permission may go unused, which is another question.
    assert ages == {"facts/_service.py", "check/_usage.py"}
