"""Many scenes at a time with Ray Data: each row is a scene, each worker keeps its model loaded.

pip install ray pyarrow
python examples/ray_batch.py examples/photos out/ray

On a cluster this is the same program: give each worker a GPU with `num_gpus=1`, and paths that all
machines see.
"""

import sys
from pathlib import Path

import ray

import fast3r

folder, output = (Path(argument).absolute() for argument in sys.argv[1:])
scenes = [{"name": p.name, "photos": str(p)} for p in sorted(folder.iterdir()) if p.is_dir()]

outcomes = ray.data.from_items(scenes).map(
    fast3r.SceneWorker,  # pyright: ignore[reportArgumentType]
    fn_constructor_args=[output],
    fn_constructor_kwargs={"model": "small", "format": ["glb"]},
    concurrency=2,
)
for row in sorted(outcomes.take_all(), key=lambda row: row["name"]):
    placed = f"{row['registered']} of {row['views']} photos placed in {row['seconds']:.1f} s"
    print(row["name"], row["status"], placed, row["reason"])
