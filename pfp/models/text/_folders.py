"""Text encoders inside downloaded pipelines: two subfolders, and the digest of what is in them."""

from __future__ import annotations

from pathlib import Path

from pfp.errors import WeightsError
from pfp.io.digests import sha256_file, sha256_json
from pfp.models._folders import weights_sha256


def pipeline_parts(folder: str, model: str, tokenizer: str, *, of: str) -> tuple[Path, Path]:
    """The subfolders of a pipeline's model and tokenizer; a missing one is a ``WeightsError``."""
    parts = Path(folder, model), Path(folder, tokenizer)
    for part in parts:
        if not part.is_dir():
            raise WeightsError(
                f"there is no folder {part}; give a downloaded {of} pipeline with the subfolders "
                f"{model} and {tokenizer}"
            )
    return parts


def parts_sha256(parts: tuple[Path, Path], **settings: object) -> str:
    """The digest of a model's weights, its tokenizer's files and an encoder's own settings."""
    model_folder, tokenizer_folder = parts
    return sha256_json(
        {
            "weights": weights_sha256(model_folder),
            "tokenizer": {path.name: sha256_file(path) for path in tokenizer_folder.iterdir()},
            **settings,
        }
    )


def architecture_of(model_folder: Path) -> str:
    """The SHA-256 of the model's ``config.json``, which holds what its weights do not say."""
    path = model_folder / "config.json"
    if not path.is_file():
        raise WeightsError(f"{model_folder} holds no config.json; download the pipeline again")
    return sha256_file(path)
