"""Every case of docs/bad-input.md, run as a person meets it."""

import pytest
from bad_input import CASES, DOCUMENT, GROUPS, meet


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_told_what_and_where(tmp_path, case):
    folder = tmp_path / "place"
    place, result = meet(folder, case)
    text = " ".join(result.stderr.split())
    assert result.returncode in (1, 2)
    assert CASES[case][2] in text.replace(f"{folder}/", "")
    assert "Hint: " in text or "Usage: " in text
    assert "Traceback" not in result.stdout + result.stderr
    assert (place.path("results/earlier.txt")).read_text() == "what was there"
    assert [path.name for path in place.path("results").iterdir()] == ["earlier.txt"]
    assert not list(folder.rglob("a-pickle-was-run"))


def test_the_document_has_every_case():
    text = DOCUMENT.read_text()
    assert len(CASES) >= 60
    assert len(CASES) == sum(map(len, GROUPS.values()))
    for name in CASES:
        assert f"| {name} | `" in text, "run make bad-input"
