"""What a network says of the photos of the corner."""

import torch

from fast3r.models.prediction import Pointmap, Prediction
from fast3r.scene.reconstruction import Reconstruction
from tests.scene.corner import HEIGHT, WIDTH
from tests.scene.playback import SIZE


def predictions(scene: Reconstruction) -> list[Prediction]:
    """Return the pointmaps of a network that sees the scene like this."""
    found = []
    for index, camera in enumerate(scene.cameras):
        points = scene.world_points(index).permute(2, 0, 1)[None]
        size = (SIZE * HEIGHT // WIDTH, SIZE)
        small = torch.nn.functional.interpolate(points, size, mode="bilinear", antialias=True)
        world = small[0].permute(1, 2, 0)
        pose = camera.world_from_camera
        local = (world - pose[:3, 3]) @ pose[:3, :3]
        sure = torch.full((1, *size), 2.0)
        found.append(Prediction(Pointmap(world[None], sure), Pointmap(local[None], sure)))
    return found
