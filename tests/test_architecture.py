"""The rules of docs/architecture.md as tests; each lists all violations."""

import ast
import re
import runpy
import subprocess
from importlib.util import find_spec

import dry_run
import pytest
from conftest import ROOT, new_project

from aepsl.workflow.stages import STAGES

MODULES = {
    path.relative_to(ROOT).as_posix(): path.read_text() for path in ROOT.glob("aepsl/**/*.py")
}
TREES = {name: ast.parse(text) for name, text in MODULES.items()}
DOCUMENTS = ("README.md", "CONTRIBUTING.md", *(f"docs/{p.name}" for p in ROOT.glob("docs/*.md")))
FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef


def functions(tree):
    return [node for node in ast.walk(tree) if isinstance(node, FUNCTION)]


def public(tree):
    """Return the public classes and functions that are not inside of a function."""
    inside = {id(n) for f in functions(tree) for n in ast.walk(f) if n is not f}
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, FUNCTION | ast.ClassDef)
        and id(node) not in inside
        and not node.name.startswith("_")
    ]


def test_import_law():
    result = subprocess.run(["lint-imports"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_functions_are_under_sixty_lines():
    assert not [
        f"{name}: {function.name}"
        for name, tree in TREES.items()
        for function in functions(tree)
        if function.end_lineno - function.lineno >= 60
    ]


def test_every_module_and_everything_public_has_a_docstring():
    assert len(TREES) > 50
    assert not [
        f"{name}: {getattr(node, 'name', 'the module')}"
        for name, tree in TREES.items()
        for node in (tree, *public(tree))
        if not ast.get_docstring(node)
    ]


def test_text_is_parsed_in_one_module():
    parsers = re.compile(
        r"\b(json\.loads?|yaml\.(safe_load|load|compose)|csv\.(DictReader|reader)|read_csv|"
        r"ElementTree\.(parse|fromstring|iterparse))\("
    )
    models = {"aepsl/stores/models.py", "aepsl/deployment/networks.py"}  # facts, in parsing()
    assert {name for name, text in MODULES.items() if parsers.search(text)} == {
        "aepsl/text.py",
        *models,
    }


def test_rules_have_no_bodies_and_the_snakefile_is_short():
    for path in [ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk")]:
        lines = [line.strip() for line in path.read_text().splitlines()]
        assert not {"run:", "script:"} & set(lines), path
    assert (ROOT / "Snakefile").read_text().count("\n") <= 75


def test_locks_hold_versions_only():
    for path in ROOT.glob("*.lock"):
        for line in path.read_text().splitlines():
            assert line.count("==") == 1
            assert "/" not in line


# Documents that follow the code


def quoted(text):
    """Return what stands in single backticks in a document."""
    return re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)


def words_of_the_code():
    """Return every word of what the project runs, and of the names of its files."""
    kinds = ("*.py", "*.smk", "*.yaml", "*.toml", "*.j2", "Snakefile", "Makefile")
    tops = ("aepsl", "rules", "examples", "profiles", "envs", "tools", "benchmarks", "tests")
    places = [ROOT.glob(kind) for kind in kinds]
    places += [ROOT.glob(f"{top}/**/{kind}") for top in tops for kind in kinds]
    words = set()
    for path in (path for place in places for path in place):
        words.add(path.stem)
        if path.relative_to(ROOT).parts[0] != "tests" or path.name == "conftest.py":
            words |= set(re.findall(r"\w+", path.read_text()))
    return words


def test_names_in_the_documents_are_names_of_the_code():
    """A rule, a function, a key: a document that names one says what there is."""
    words = words_of_the_code()
    assert {"train_classifier", "voc_palette", "test_architecture"} <= words
    assert not [
        f"{document}: {name}"
        for document in DOCUMENTS
        for text in quoted((ROOT / document).read_text())
        for name in re.findall(r"(?<!timm/)\b[a-z]+(?:_[a-z0-9]+)+\b", text)
        if name not in words
    ]


def names_in(tree):
    """Return every name that a module defines or imports, methods and fields included."""
    defined = {n.name for n in ast.walk(tree) if isinstance(n, FUNCTION | ast.ClassDef)}
    assigned = {
        getattr(n, "id", None) or n.attr
        for n in ast.walk(tree)
        if isinstance(n, ast.Name | ast.Attribute) and isinstance(n.ctx, ast.Store)
    }
    imported = {
        alias.asname or alias.name
        for n in ast.walk(tree)
        if isinstance(n, ast.Import | ast.ImportFrom)
        for alias in n.names
    }
    return defined | assigned | imported


def unknown_references(text):
    """Return the references in a module's text to names that its target does not have."""
    found = []
    for role, target in re.findall(r":(\w+):`([^`]+)`", text):
        module, _, last = target.rpartition(".")
        path = (target if role == "mod" else module).replace(".", "/") + ".py"
        if role == "mod":
            found += [target] if path not in TREES else []
        elif path in TREES:
            found += [target] if last not in names_in(TREES[path]) else []
        elif last not in names_in(ast.parse(text)):
            found.append(target)
    return found


def test_references_in_docstrings_lead_somewhere():
    """``:func:`name``` is a name of the module itself, or of the module before its dot."""
    text = 'def f():\n    """See :func:`f`, :func:`g` and :data:`aepsl.masks.NONE`."""\n'
    assert unknown_references(text) == ["g", "aepsl.masks.NONE"]
    assert sum(len(re.findall(r":\w+:`", text)) for text in MODULES.values()) > 20
    assert not [
        f"{name}: {target}" for name, text in MODULES.items() for target in unknown_references(text)
    ]


def test_constants_in_docstrings_are_constants():
    constants = {n for tree in TREES.values() for n in names_in(tree) if n.isupper()}
    environment = {"CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID"}
    assert "IGNORE_INDEX" in constants
    assert not [
        f"{name}: {constant}"
        for name, text in MODULES.items()
        for constant in re.findall(r"``([A-Z]+_[A-Z_]+|[A-Z]{4,})``", text)
        if constant not in constants | environment
    ]


def test_the_table_of_files_has_the_outputs_of_every_rule():
    rows = [
        line
        for line in (ROOT / "docs" / "architecture.md").read_text().splitlines()
        if line.startswith("| `")
    ]
    assert not [
        f"{rule}: {path}"
        for rule, stage in STAGES.items()
        for path in stage.files.values()
        for role in (("train", "eval") if "{role}" in path else ("",))
        if not any(
            f"`{path.replace('{role}', role).split('/')[0]}" in row
            and rule in row.rpartition(" | ")[2]
            for row in rows
        )
    ]


def test_functions_in_the_table_of_equations_are_in_their_files():
    text = (ROOT / "docs" / "method.md").read_text()
    pairs = re.findall(r"`(\w+/\w+\.py)` `(\w+)`", text)
    assert len(pairs) > 10
    assert not [
        f"{path}: {name}" for path, name in pairs if name not in names_in(TREES[f"aepsl/{path}"])
    ]


def test_files_in_the_documents_are_there():
    found = [
        (document, name)
        for document in DOCUMENTS
        for text in quoted((ROOT / document).read_text())
        for name in re.findall(r"^[\w./]+\.(?:py|smk|toml|md)$", text)
    ]
    assert len(found) > 20
    assert not [
        f"{document}: {name}"
        for document, name in found
        if not any((ROOT / top / name).is_file() for top in (".", "aepsl", "docs"))
    ]


@pytest.mark.skipif(not find_spec("pydensecrf"), reason="without pydensecrf a rule is not run")
def test_the_picture_shows_the_rules_that_there_are(tmp_path):
    tool = runpy.run_path(str(ROOT / "tools" / "picture.py"))
    status, printed = dry_run.run(new_project(tmp_path), *tool["COMMAND"])
    assert status == 0, printed
    picture = tool["picture"](printed)
    assert "train_classifier --> extract_cams\n" in picture
    assert "index_images --> extract_cams\n" not in picture  # it leads there by the classifier
    assert picture in (ROOT / "docs" / "architecture.md").read_text(), "run make picture"
