from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import vrmpy_tune
from tests.records.samples import record
from vrmpy_tune.records import open_store

MODULES = "import sys, vrmpy_tune{more}; print(*sys.modules)"

MOST_MODULES = 40
"""Modules that `import vrmpy_tune` may load; today 31, all small and from the standard library."""


def python(source: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", source], check=True, capture_output=True, text=True
    ).stdout


@pytest.mark.parametrize("more", ["", ".cli.application", ".records", ".tune.events"])
def test_importing_the_package_or_its_command_line_does_not_import_tvm(more: str) -> None:
    loaded = python(MODULES.format(more=f", vrmpy_tune{more}" if more else "")).split()
    assert not {"tvm", "tvm_ffi", "xgboost", "pandas", "scipy"} & set(loaded)


def test_importing_the_package_loads_few_modules() -> None:
    # Counted, not timed: the machine may be busy.
    bare, ours = (len(python(f"import sys{more}; print(*sys.modules)").split())
                  for more in ("", ", vrmpy_tune"))  # fmt: skip
    assert ours - bare <= MOST_MODULES


def test_public_names_are_sorted_listed_and_resolved_on_first_use() -> None:
    assert vrmpy_tune.__all__ == sorted(vrmpy_tune.__all__)
    assert set(vrmpy_tune.__all__) <= set(dir(vrmpy_tune))
    for name in vrmpy_tune.__all__:
        assert getattr(vrmpy_tune, name) is getattr(vrmpy_tune, name)
    with pytest.raises(AttributeError, match="nonsense"):
        vrmpy_tune.nonsense  # noqa: B018


@pytest.mark.parametrize("before", ["", "import vrmpy_tune.tune.events; "])
def test_tune_can_be_called_whether_or_not_its_package_was_imported_before(before: str) -> None:
    source = f"{before}import vrmpy_tune as vt; import vrmpy_tune.tune.events as e; "
    assert python(f"{source}print(callable(vt.tune), e.__name__)").split() == [
        "True",
        "vrmpy_tune.tune.events",
    ]


HEAVY = "print(*{'numpy', 'sqlalchemy', 'tvm', 'tvm_ffi', 'matplotlib', 'onnx'} & set(sys.modules))"


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        (["--version"], set()),
        (["records", "--help"], set()),
        (["records", "ls", "--limit", "0"], set()),
        (["doctor", "--help"], {"numpy"}),
        (["records", "ls"], {"sqlalchemy"}),
        (["records", "best"], {"sqlalchemy"}),
        (["records", "show", "0123456789abcdef"], {"sqlalchemy"}),
        (["records", "prune", "--keep", "9"], {"sqlalchemy"}),
        (["records", "merge", "store.db"], {"sqlalchemy"}),
        (["explain", "dense:m=7,n=8,k=9,lhs=u8,rhs=u8"], {"sqlalchemy", "numpy"}),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, list) else "",
)
def test_a_command_imports_no_more_than_it_needs(
    arguments: list[str], needed: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if len(arguments) > 1 and "sqlalchemy" in needed:
        with open_store(tmp_path / "store.db") as store:
            store.add(record(1))
        arguments = [*arguments, "--records", "store.db"]
    call = f"import sys; from vrmpy_tune.cli.application import run; run({arguments}); {HEAVY}"
    loaded = set(python(call).splitlines()[-1].split())
    assert loaded <= needed


def test_a_mistyped_command_is_told_what_was_meant() -> None:
    call = "from vrmpy_tune.cli.application import run; run(['recrods'])"
    ended = subprocess.run(
        [sys.executable, "-c", call], check=False, capture_output=True, text=True
    )
    assert "No such command 'recrods'" in ended.stderr
    assert "'records'" in ended.stderr
