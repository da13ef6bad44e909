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
# in a separate process, whose number of threads is set before anything runs
TRAIN = """
import sys
from pathlib import Path
import numba, torch
numba.set_num_threads(int(sys.argv[2]))
torch.set_num_threads(int(sys.argv[2]))
from trainer.dataset import load_scene
from trainer.farfield import FarField
from trainer.photo_store import PhotoStore
from trainer.optimise import Splats
from trainer.schedule import Budget
from trainer.seeds import start
from trainer.surroundings import scene_surroundings
from trainer.train import Trainer
from trainer.virtual import as_photos
scene, store = load_scene(Path(sys.argv[1]), 96), PhotoStore()
far = FarField.of(scene_surroundings(scene, store, z_up=True), scene.positions, scene.frame)
begun = start(scene, store, 300, 3, torch.device("cpu"), far)
trainer = Trainer(
    photos=scene.split("train"), held_out=scene.split("test"), frame=scene.frame, store=store.with_gains(begun.gains),
    budget=Budget(60, 96, 900), splats=Splats.of(begun.gaussians, torch.device("cpu")), dropout=0.2,
    device=torch.device("cpu"), far=far, virtual=as_photos(begun.virtual, scene.frame),
)
assert trainer.virtual
trainer.run(lambda _: True)
assert len(trainer.splats) > len(begun.gaussians)
for tensor in trainer.splats.tensors.values():
    sys.stdout.buffer.write(tensor.numpy().tobytes())
"""


def trained(scene: Path, threads: int) -> str:
    path = os.pathsep.join(str(folder) for folder in (ROOT, CONTAINERS, CONTAINERS / "3dgs"))
    command = [sys.executable, "-c", TRAIN, str(scene), str(threads)]
    environment = {**os.environ, "PYTHONPATH": path, "NUMBA_NUM_THREADS": "2"}
    done = subprocess.run(command, env=environment, check=True, timeout=600, capture_output=True)
    assert len(done.stdout) > 300 * 59 * 4
    return hashlib.sha256(done.stdout).hexdigest()


def test_training_is_reproducible(tmp_path: Path) -> None:
    make_scene(tmp_path, photos=9)
    assert trained(tmp_path, 2) == trained(tmp_path, 2) == trained(tmp_path, 1)
