"""Models in safetensors format, and pretrained weights from several file formats."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from aepsl.errors import AepslError, read_error, require_file
from aepsl.stores.atomic import atomic_write
from aepsl.text import parsing

Tensors = dict[str, Tensor]


def save_model(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write a model's tensors and facts (JSON metadata), atomically."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(facts, sort_keys=True)
    about = json.dumps({"sha256": _digest(plain, text), "facts": text})
    # One metadata entry, because safetensors writes several in random order.
    content = save(plain, metadata={"aepsl": about})
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)


def _digest(tensors: Mapping[str, Tensor], facts: str) -> str:
    digest = hashlib.sha256(facts.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def load_model(path: Path) -> tuple[Tensors, dict[str, Any]]:
    """Return a model's tensors and facts.

    Raises:
        AepslError: if the file is missing, not such a model, or modified.
    """
    with parsing(path, "a model of this package", "run its training stage again"):
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})["aepsl"])
        tensors, facts = load_file(path), about["facts"]
        if _digest(tensors, facts) != about["sha256"]:
            raise ValueError("it was modified after it was written")
        return tensors, json.loads(facts)


def _read_npz(path: Path) -> Tensors:
    with np.load(path, allow_pickle=False) as file:
        return {name: torch.from_numpy(file[name].astype(np.float32)) for name in file.files}


def read_weights_file(path: Path) -> Tensors:
    """Return the float32 tensors of a ``.npz``, ``.pth``, ``.pt`` or ``.safetensors`` file.

    Pickled code is never executed: ``.pth`` is read with ``weights_only``, ``.npz`` without pickle.

    Raises:
        AepslError: if the file is missing, of an unknown format, or corrupt.
    """
    try:
        require_file(path)
        match path.suffix:
            case ".npz":
                tensors: Any = _read_npz(path)
            case ".safetensors":
                tensors = load_file(path)
            case ".pth" | ".pt":
                tensors = torch.load(path, map_location="cpu", weights_only=True)
            case _:
                raise ValueError("the name does not end with .npz, .pth, .pt or .safetensors")
        if not isinstance(tensors, Mapping):
            raise ValueError("it is not a table of named tensors")
        return {str(name): value.float() for name, value in tensors.items()}
    except AepslError:
        raise
    except FileNotFoundError:
        raise AepslError.of(
            path, "the weights file does not exist", "set networks.weights to its path"
        ) from None
    except (ValueError, OSError, SafetensorError, zipfile.BadZipFile, RuntimeError) as error:
        what = f"not weights ({error})"
        raise read_error(error, path, what, "use a file of named tensors") from None
    except Exception as error:  # torch also raises pickle's errors, of several classes
        raise AepslError.of(
            path, f"refused by the safe loader ({type(error).__name__})", "save it as .safetensors"
        ) from None


def torchvision_weights(backbone: str, name: str) -> Tensors:
    """Return the tensors of torchvision's weights ``name``, downloaded on first use and checked.

    Raises:
        AepslError: if they cannot be downloaded.
    """
    from torchvision.models import get_model_weights

    weights = get_model_weights(backbone)[name]
    try:
        tensors = dict(weights.get_state_dict(check_hash=True))
    except (OSError, RuntimeError) as error:
        folder = Path(torch.hub.get_dir(), "checkpoints")
        hint = f"download {weights.url} elsewhere and put it into {folder}"
        raise AepslError.of(name, f"could not be downloaded ({error})", hint) from None
    # Some torchvision weights contain NaN in layers that they do not cover.
    return {key: tensor for key, tensor in tensors.items() if tensor.isfinite().all()}


def timm_weights(name: str) -> Tensors:
    """Return the pretrained tensors of a network of timm, downloaded on first use.

    Raises:
        AepslError: if there are none, or they cannot be downloaded.
    """
    import timm

    try:
        return dict(timm.create_model(name, pretrained=True).state_dict())
    except Exception as error:  # the hub raises many kinds
        facts = timm.get_pretrained_cfg(name)
        where = getattr(facts, "hf_hub_id", None)
        what = f"its pretrained weights could not be downloaded ({type(error).__name__}: {error})"
        hint = (
            f"download model.safetensors of {where} from Hugging Face's hub elsewhere, and set"
            " networks.weights to that file"
            if where
            else "timm has none; set networks.weights to a file, or to random"
        )
        raise AepslError.of(f"timm/{name}", what, hint) from None
