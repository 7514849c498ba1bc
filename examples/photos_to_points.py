"""Photos in, cameras and a point cloud out.

python examples/photos_to_points.py examples/photos/buddha out/buddha
"""

import sys
from pathlib import Path

import fast3r

photos, output = sys.argv[1], Path(sys.argv[2])
output.mkdir(parents=True, exist_ok=True)

model = fast3r.load_model("small")
scene = fast3r.reconstruct(fast3r.load_views(photos), model)
for view, camera in zip(scene.views, scene.cameras, strict=True):
    where = "not found" if camera is None else camera.world_from_camera[:3, 3].tolist()
    print(view.name, where)
fast3r.save(scene, output / "scene.ply")
