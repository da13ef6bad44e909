"""The same photos and seed give the same splat to the last byte, whatever the number of threads."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import trainer
from tests.unit.trainer.synthetic import make_scene

ROOT = Path(__file__).parents[3]
CONTAINERS = Path(trainer.__file__).parents[2]
# in a process of its own, whose threads are set before anything runs
TRAIN = """
import sys
from pathlib import Path
import numba, torch
numba.set_num_threads(int(sys.argv[2]))
torch.set_num_threads(int(sys.argv[2]))
from trainer.dataset import PhotoStore, load_scene
from trainer.initialise import from_seeds, seed_points
from trainer.optimise import Splats
from trainer.schedule import Budget
from trainer.train import Trainer
scene, store = load_scene(Path(sys.argv[1]), 96), PhotoStore()
splats = Splats.of(from_seeds(seed_points(scene, store, 400), 3), torch.device("cpu"))
trainer = Trainer(scene.split("train"), scene.frame, store, Budget(60, 96, 900), splats, 0.2, torch.device("cpu"))
trainer.run(lambda _: True)
assert len(trainer.splats) > len(seed_points(scene, store, 400).positions)
for tensor in trainer.splats.tensors.values():
    sys.stdout.buffer.write(tensor.numpy().tobytes())
"""


def trained(scene: Path, threads: int) -> str:
    path = os.pathsep.join(str(folder) for folder in (ROOT, CONTAINERS, CONTAINERS / "3dgs"))
    command = [sys.executable, "-c", TRAIN, str(scene), str(threads)]
    environment = {**os.environ, "PYTHONPATH": path, "NUMBA_NUM_THREADS": "2"}
    done = subprocess.run(command, env=environment, check=True, timeout=600, capture_output=True)
    assert len(done.stdout) > 400 * 59 * 4
    return hashlib.sha256(done.stdout).hexdigest()


def test_training_is_reproducible(tmp_path: Path) -> None:
    make_scene(tmp_path, photos=9)
    assert trained(tmp_path, 2) == trained(tmp_path, 2) == trained(tmp_path, 1)
