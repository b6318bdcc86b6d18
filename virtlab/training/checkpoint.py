"""Where an unfinished training stands, beside the model file it will become."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from virtlab.errors import ConfigError
from virtlab.modelfile import replace_whole

if TYPE_CHECKING:  # TensorFlow takes seconds to import; a refusal must not wait for it
    from virtlab.gan.attempt import Checkpoint


def checkpoint_path(output: Path, *, from_parent: bool = False) -> Path:
    """Name of the checkpoint of a training that will write `output`, anew or from a parent."""
    return output.with_name(output.name + (".start.checkpoint" if from_parent else ".checkpoint"))


def save_checkpoint(path: Path, checkpoint: Checkpoint, identity: dict[str, Any]) -> None:
    """Write a checkpoint whole; `identity` says what it is a checkpoint of."""
    from safetensors.numpy import save

    arrays, position = checkpoint
    metadata = {"position": json.dumps(position), "identity": json.dumps(identity)}
    replace_whole(path, bytes(save(arrays, metadata)))


def load_checkpoint(path: Path, identity: dict[str, Any]) -> Checkpoint | None:
    """Read a checkpoint; None where there is none yet.

    Raises
    ------
    ConfigError
        It is damaged, or belongs to other data, options or another virtlab.
    """
    from safetensors import SafetensorError, safe_open

    if not path.exists():
        return None
    remedy = f"train without --resume, or delete {path.name}"
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        found = json.loads(metadata["identity"])
        position = json.loads(metadata["position"])
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise ConfigError(f"{path}: the checkpoint is damaged ({error}); {remedy}") from error
    changed = sorted(key for key in identity if found.get(key) != identity[key])
    if changed:
        raise ConfigError(
            f"{path}: the checkpoint is of another training: {', '.join(changed)} changed; {remedy}"
        )
    return arrays, position
