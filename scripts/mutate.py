"""Tell which small errors in a module its tests would not notice.

    python scripts/mutate.py                                  # the modules of TESTS below
    python scripts/mutate.py fast3r/geometry/focal.py --sample 40 --seed 1

Each mutant changes one operator, comparison, sign or number inside a function, in a copy of the
package; it is killed if a test fails or hangs. Survivors are printed with their line: some change
nothing that matters (a bound on memory, a sample's size), the others want a test.
"""

import argparse
import ast
import copy
import os
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]

_GEOMETRY = "tests/properties/test_geometry.py"
TESTS = {
    "fast3r/geometry/cameras.py": ["tests/geometry/test_cameras.py", _GEOMETRY],
    "fast3r/geometry/transforms.py": ["tests/geometry/test_transforms.py", _GEOMETRY],
    "fast3r/geometry/poses.py": ["tests/geometry/test_poses.py", _GEOMETRY],
    "fast3r/geometry/alignment.py": ["tests/geometry/test_alignment.py", _GEOMETRY],
    "fast3r/geometry/focal.py": ["tests/geometry/test_focal.py", _GEOMETRY],
    "fast3r/training/losses.py": ["tests/training/test_losses.py"],
}
"""Modules, and the tests that should notice an error in them."""

_SWAPPED = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.Lt: ast.GtE,
    ast.LtE: ast.Gt,
    ast.Gt: ast.LtE,
    ast.GtE: ast.Lt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}


@dataclass(frozen=True)
class Mutant:
    """A module with one small error."""

    line: int
    """Where it is."""

    change: str
    """What it is."""

    source: str
    """The module with it."""


def mutants(source: str) -> Iterator[Mutant]:
    """Yield every mutant of a module."""
    whole = ast.parse(source)
    for place, node in enumerate(ast.walk(whole)):
        if isinstance(node, ast.expr) and node in _in_functions(whole):
            changed = _changed(node)
            if changed is not None:
                yield Mutant(
                    node.lineno,
                    f"{ast.unparse(node)}  ->  {ast.unparse(changed)}",
                    _with(whole, place, changed),
                )


def _in_functions(tree: ast.AST) -> set[ast.AST]:
    """Return the nodes that compute: those inside functions, but for messages and annotations."""
    inside: set[ast.AST] = set()
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            for statement in function.body:
                inside |= _computing(statement)
    return inside


def _computing(node: ast.AST) -> set[ast.AST]:
    if isinstance(node, ast.Raise | ast.Assert | ast.JoinedStr | ast.FunctionDef):
        return set()
    found = {node}
    for name, value in ast.iter_fields(node):
        if name != "annotation":
            for child in value if isinstance(value, list) else [value]:
                found |= _computing(child) if isinstance(child, ast.AST) else set()
    return found


def _changed(node: ast.expr) -> ast.expr | None:
    """Return a copy of a node with an error in it; None if it is of no such kind."""
    changed = copy.deepcopy(node)
    if isinstance(changed, ast.BinOp | ast.BoolOp) and type(changed.op) in _SWAPPED:
        changed.op = _SWAPPED[type(changed.op)]()
        return changed
    if isinstance(changed, ast.Compare) and type(changed.ops[0]) in _SWAPPED:
        changed.ops[0] = _SWAPPED[type(changed.ops[0])]()
        return changed
    if isinstance(changed, ast.UnaryOp) and isinstance(changed.op, ast.USub | ast.Not):
        return changed.operand
    if not isinstance(changed, ast.Constant):
        return None
    if isinstance(changed.value, bool):
        return ast.Constant(not changed.value)
    return ast.Constant(changed.value + 1) if isinstance(changed.value, int | float) else None


def _with(whole: ast.Module, place: int, changed: ast.expr) -> str:
    """Return a module's source with another node at some place of the walk."""
    tree = copy.deepcopy(whole)
    target = list(ast.walk(tree))[place]
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            if value is target:
                setattr(parent, name, changed)
            elif isinstance(value, list) and any(child is target for child in value):
                value[next(i for i, child in enumerate(value) if child is target)] = changed
    return ast.unparse(ast.fix_missing_locations(tree))


def tests_notice(folder: Path, tests: list[str], timeout_s: int) -> bool:
    """Return whether tests fail in a copy of the repository, in a process of their own."""
    # Forking spares each mutant the import of torch.
    child = os.fork()
    if child == 0:
        signal.alarm(timeout_s)
        os.chdir(folder)
        sys.path.insert(0, str(folder))
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
        code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *tests])
        os._exit(int(code))
    return os.waitpid(child, 0)[1] != 0


def survivors(module: str, tests: list[str], sample: int, seed: int, timeout_s: int) -> int:
    """Try some mutants of a module, print those that survive, and return how many do."""
    chosen = list(mutants((ROOT / module).read_text(encoding="utf-8")))
    possible = len(chosen)
    random.Random(seed).shuffle(chosen)
    chosen = sorted(chosen[:sample], key=lambda mutant: mutant.line)
    alive = []
    with tempfile.TemporaryDirectory() as folder:
        copied = Path(folder)
        for part in ("fast3r", "tests", "examples"):
            ignored = shutil.ignore_patterns("__pycache__", "*.safetensors", "photos")
            shutil.copytree(ROOT / part, copied / part, ignore=ignored)
        shutil.copy(ROOT / "pyproject.toml", copied)
        if tests_notice(copied, tests, timeout_s):
            raise SystemExit(f"{module}: its tests fail without any error in it")
        for mutant in chosen:
            (copied / module).write_text(mutant.source, encoding="utf-8")
            if not tests_notice(copied, tests, timeout_s):
                alive.append(mutant)
                print(f"  {module}:{mutant.line}: {mutant.change}", flush=True)
    killed = len(chosen) - len(alive)
    print(f"{module}: {killed} of {len(chosen)} killed ({possible} possible)", flush=True)
    return len(alive)


def main() -> None:
    """Try the modules that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", default=list(TESTS))
    parser.add_argument("--tests", nargs="*", help="instead of those of the table")
    parser.add_argument("--sample", type=int, default=30, help="mutants of each module")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--timeout-s", type=int, default=120)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for module in options.modules:
        tests = options.tests or TESTS[module]
        survivors(module, tests, options.sample, options.seed, options.timeout_s)


if __name__ == "__main__":
    main()
