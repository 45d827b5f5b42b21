"""The contract is importable on any box: it needs the standard library alone."""

import ast
import subprocess
import sys
from pathlib import Path

import training.contract

FOLDER = Path(training.contract.__file__).parent


def imported_names(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where a name comes from"
            names.add(node.module or "")
    return names


def test_the_contract_imports_only_the_standard_library_and_itself() -> None:
    files = sorted(FOLDER.rglob("*.py"))
    assert len(files) >= 5
    for path in files:
        for name in imported_names(path):
            allowed = name.split(".")[0] in sys.stdlib_module_names or name.startswith("training.contract")
            assert allowed, f"{path.name} imports {name}"


def test_the_contract_loads_where_nothing_is_installed() -> None:
    code = "import training.contract.records, training.contract.configs, training.contract.rundir"
    root = FOLDER.parent.parent
    done = subprocess.run([sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(root)!r}); {code}"])
    assert done.returncode == 0
