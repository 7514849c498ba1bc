"""A saved scene, filtered and thinned, as a COLMAP model to start splatting from.

fast3r reconstruct examples/photos/buddha --output out/buddha --format npz
python examples/scene_to_colmap.py out/buddha/scene.npz out/buddha/colmap
"""

import sys

import fast3r

scene = fast3r.load(sys.argv[1])
cloud = scene.point_cloud(min_conf_percentile=50, max_points=50_000)
print(f"{len(scene.registered)} cameras, {len(cloud)} points")
fast3r.save(scene, sys.argv[2], cloud=cloud)
