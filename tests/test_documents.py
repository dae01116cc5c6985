"""Every command in README.md and docs/ is one that its program accepts; the tutorials are run."""

import os
import re
import shlex
import subprocess

import numpy as np
import pytest
import typer
from conftest import ROOT
from documents import DOCUMENTS, commands
from PIL import Image, ImageDraw

from aepsl.cli import app
from aepsl.cli.run import SNAKEMAKE, snakemake_command
from aepsl.data.images import read_mask, write_mask
from aepsl.stores.records import Store

COMMANDS = sorted({command for document in DOCUMENTS for command in commands(document)})

FOREIGN = ("git", "source", "export", "pip", "pipx", "uv", "srun")
"""Programs that are not this project's."""

OTHERS_FILES = ("mine.yaml", "photographs.yaml", "beach.yaml")
"""Configurations that a reader writes."""


def test_there_are_commands():
    assert len(COMMANDS) > 40
    assert {words.text.split()[0] for words in COMMANDS} <= {
        *FOREIGN, "aepsl", "snakemake", "python3", "python", "make"
    }  # fmt: skip


def test_the_index_has_every_page():
    index = (ROOT / "docs" / "README.md").read_text()
    pages = [page.name for page in (ROOT / "docs").glob("*.md") if page.name != "README.md"]
    assert not [page for page in pages if f"({page})" not in index]


@pytest.fixture
def there(monkeypatch, tmp_path):
    """Change to a folder with the project's configurations and those that a reader writes."""
    for name in ("examples", "profiles", "Snakefile", "config.yaml"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    for name in ("photographs.yaml", "beach.yaml"):
        (tmp_path / name).write_text("base: photographs\n")
    (tmp_path / "files.txt").touch()


def accepted_by_snakemake(words):
    """Return the options that Snakemake reads from a command line."""
    from snakemake.cli import parse_args

    _, options = parse_args(words)
    return options


def accepted_by_aepsl(words):
    """Check a command line of ``aepsl``, without running it."""
    group = typer.main.get_command(app)
    if words[0].startswith("-"):
        assert words[0] == "--help" or words[0] in {o for p in group.params for o in p.opts}
        return None
    context = typer.Context(group)
    name, command, rest = group.resolve_command(context, list(words))
    return command.make_context(name, rest)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.text[:60])
def test_a_command_is_accepted(there, command, monkeypatch):
    program, *words = shlex.split(command.text)
    if program in FOREIGN:
        return
    if program == "make":
        assert re.search(rf"^{words[0]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    elif program in ("python", "python3"):
        assert (ROOT / words[0]).is_file()
    elif program == "snakemake":
        _check_targets(accepted_by_snakemake(words))
    elif words[0] in ("run", "explain"):
        context = accepted_by_aepsl(words)
        if words[0] == "run":
            given = {n: v for n, v in context.params.items() if n not in ("words", "config")}
            made = snakemake_command(
                context.params["words"] or (), context.params["config"] or (), **given
            )
            _check_targets(accepted_by_snakemake(made[len(SNAKEMAKE) :]))
    else:
        accepted_by_aepsl(words)


def _check_targets(options):
    """Check that configurations exist, and that targets are rules or results of some run."""
    rules = "\n".join(path.read_text() for path in ROOT.glob("rules/*.smk"))
    for file in options.configfile or ():
        assert str(file) in OTHERS_FILES or (ROOT / file).is_file()
    for target in options.targets:
        assert target.startswith("results/") or f"rule {target}:" in rules


# The tutorial, as written


def weights_in_the_hubs_cache(folder):
    """Write random weights of the network of ``best`` where the hub's library keeps downloads."""
    import timm
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    model = timm.create_model("tf_efficientnet_lite2")
    repository = f"models--{model.pretrained_cfg['hf_hub_id'].replace('/', '--')}"
    revision = "0" * 40
    snapshot = folder / "hub" / repository / "snapshots" / revision
    snapshot.mkdir(parents=True)
    (folder / "hub" / repository / "refs").mkdir()
    (folder / "hub" / repository / "refs" / "main").write_text(revision)
    tensors = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(tensors, snapshot / "model.safetensors")


def drawn_photographs(folder, number):
    """Write photographs of apples (discs) and pears (triangles)."""
    for kind, corners in (("apple", 24), ("pear", 3)):
        for k in range(number):
            rng = np.random.default_rng([k, corners])
            picture = Image.fromarray(rng.integers(60, 120, (90, 110, 3), dtype=np.uint8))
            circle = (*rng.integers(30, 60, 2).tolist(), int(rng.integers(15, 28)))
            colour = (200, 40, 30) if kind == "apple" else (90, 180, 40)
            ImageDraw.Draw(picture).regular_polygon(circle, corners, fill=colour)
            (folder / kind).mkdir(parents=True, exist_ok=True)
            picture.save(folder / kind / f"{kind} {k}.png")


@pytest.mark.slow
def test_the_tutorial_runs_as_written(tmp_path):
    weights_in_the_hubs_cache(tmp_path / "hub")
    offline = {"HF_HOME": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}
    offline |= {"https_proxy": "http://127.0.0.1:9"}  # nobody listens there
    offline |= {name: str(tmp_path / "empty") for name in ("TORCH_HOME", "U2NET_HOME")}
    drawn_photographs(tmp_path / "photographs", 4)
    drawn_photographs(tmp_path / "new-photographs", 1)
    ran = []
    for command in commands(ROOT / "docs" / "own-data.md"):
        result = subprocess.run(
            shlex.split(command.text),
            cwd=tmp_path,
            env=os.environ | offline,
            capture_output=True,
            text=True,
            check=False,
        )
        ran.append(command.text)
        assert result.returncode == 0, command.text + result.stdout + result.stderr
        if command.text.startswith("aepsl export-labels"):
            painted = sorted((tmp_path / "corrected").iterdir())[0]
            mask = read_mask(painted).copy()
            mask[:20, :20] = 2
            write_mask(painted, mask)
    assert len(ran) == 7
    results = tmp_path / "results" / "photographs"
    assert (results / "report" / "index.html").is_file()
    assert len(list((tmp_path / "found" / "masks").iterdir())) == 2
    labels = Store([results / "labels" / "main" / "0.json"], kind="labels")
    corrected = [i for i in labels.ids() if labels[i].facts.get("corrected")]
    assert corrected == [painted.stem]
    assert (labels[painted.stem].arrays["mask"][:20, :20] == 2).all()
