from __future__ import annotations

import ast
import shutil
from pathlib import Path

import pytest

from vrmpy_tune.toolchain.codegen import SOURCES, provenance
from vrmpy_tune.toolchain.sources import ROOT, code_hash, code_of

DECIDE_NOTHING = {
    "__init__.py",
    "errors.py",
    "process.py",
    "toolchain/__init__.py",
    "toolchain/cache.py",
    "toolchain/sources.py",
    "toolchain/versions.py",
}
"""What the sources import that decides neither code nor packets."""


def files_of(names: tuple[str, ...]) -> set[str]:
    return {
        file.relative_to(ROOT).as_posix()
        for name in names
        for file in ([ROOT / name] if name.endswith(".py") else (ROOT / name).rglob("*.py"))
    }


def imports_of(path: Path) -> set[str]:
    """Return the files of this package that a module imports when it runs, as relative paths."""
    found = set()
    for node in ast.walk(_running(ast.parse(path.read_text()))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("vrmpy_tune"):
            for name in (node.module, *(f"{node.module}.{one.name}" for one in node.names)):
                parts = (name or "").split(".")[1:]
                for file in (
                    ROOT.joinpath(*parts, "__init__.py"),
                    ROOT.joinpath(*parts[:-1], f"{parts[-1] if parts else ''}.py"),
                ):
                    if file.is_file():
                        found.add(file.relative_to(ROOT).as_posix())
    return found


def _running(tree: ast.Module) -> ast.Module:
    """Leave out what only type checkers read."""
    kept = [
        one
        for one in tree.body
        if not (isinstance(one, ast.If) and getattr(one.test, "id", "") == "TYPE_CHECKING")
    ]
    return ast.Module(kept, [])


def test_every_module_that_code_generation_imports_is_hashed_or_decides_nothing() -> None:
    hashed = files_of(sum(SOURCES.values(), ()))
    imported = set().union(*(imports_of(ROOT / name) for name in hashed))
    assert len(hashed) > 25
    assert imported - hashed <= DECIDE_NOTHING


def test_only_code_counts() -> None:
    source = '''"""Docs."""

X = 1  # why
# A comment.
Y = """a text
# that is no comment
"""
"""What Y is,
in two lines."""


def f():
    """Docs."""
    return X
'''
    code = code_of(source)
    assert code_of(source.replace("Docs", "Other docs").replace("# A comment.\n", "")) == code
    assert code_of(source.replace("\n\n\n", "\n")) == code
    for old, new in [("= 1", "= 2"), ("no comment", "no remark"), ("return X", "return Y")]:
        assert code_of(source.replace(old, new)) != code


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for names in SOURCES.values():
        for name in names:
            source, copied = ROOT / name, tmp_path / name
            copied.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, copied)
            else:
                shutil.copy(source, copied)
    return tmp_path


@pytest.mark.parametrize(
    ("part", "file"), [("packets", "toolchain/packets/resources.py"), ("lowering", "intrin/hvx.py")]
)
def test_an_edit_changes_the_hash_of_its_part_alone(copy: Path, part: str, file: str) -> None:
    before = {name: code_hash(*names) for name, names in SOURCES.items()}
    assert before.items() <= provenance().items()
    path = copy / file
    path.write_text(path.read_text() + "\nMORE = 1\n")
    after = {name: code_hash(*names, root=copy) for name, names in SOURCES.items()}
    assert {name for name in before if before[name] != after[name]} == {part}


def test_the_simulator_stands_in_the_toolchain_of_what_it_measured() -> None:
    assert "qemu" not in provenance()
    assert provenance({"qemu": "7.2.22", "tvm": "9"}) == provenance() | {"qemu": "7.2.22"}
