"""The rules of docs/architecture.md as tests; each lists all violations."""

import ast
import re
import runpy
import subprocess
import tomllib
from importlib.util import find_spec

import dry_run
import pytest
from conftest import ROOT, new_project

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


def test_rules_have_no_bodies_and_the_snakefile_is_short():
    for path in [ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk")]:
        lines = [line.strip() for line in path.read_text().splitlines()]
        assert not {"run:", "script:"} & set(lines), path
    assert (ROOT / "Snakefile").read_text().count("\n") <= 70


def test_locks_hold_versions_only():
    for path in ROOT.glob("*.lock"):
        for line in path.read_text().splitlines():
            assert line.count("==") == 1
            assert "/" not in line


def test_the_law_that_no_stage_imports_a_stage_names_all_of_them():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = {c["name"]: c for c in settings["tool"]["importlinter"]["contracts"]}
    stages = {f"aepsl.stages.{path.stem}" for path in (ROOT / "aepsl/stages").glob("[a-z]*.py")}
    assert set(contracts["No stage imports a stage"]["modules"]) == stages


# Documents that follow the code


def quoted(text):
    """Return what stands in single backticks in a document."""
    return re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)


def words_of_the_code():
    """Return every word of what the project runs, and of the names of its files."""
    kinds = ("*.py", "*.smk", "*.yaml", "*.toml", "*.j2", "Snakefile", "Makefile")
    tops = ("aepsl", "rules", "configs", "profiles", "envs", "tools", "benchmarks", "tests")
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
        for name in re.findall(r"\b[a-z]+(?:_[a-z0-9]+)+\b", text)
        if name not in words
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
    assert picture in (ROOT / "README.md").read_text(), "run make picture"
