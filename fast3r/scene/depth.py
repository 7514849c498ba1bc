"""How far each pixel of a view lies, in units of the world that its camera stands in."""

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.geometry.cameras import Camera, invert_rigid
from fast3r.geometry.robust import weighted_median
from fast3r.models.prediction import Prediction
from fast3r.scene.batches import Batch, batches
from fast3r.scene.focals import image_intrinsics
from fast3r.scene.pose_choice import MIN_INLIER_RATIO, Sample, judged, sampled
from fast3r.views.turning import network_from_photo_camera
from fast3r.views.view import View


def depth_in_world(
    batch: Batch, sample: Sample, world_from_camera: Float[Tensor, "views 4 4"]
) -> tuple[Float[Tensor, "views height width"], Float[Tensor, " views"]]:
    """Return depth maps in world units, and how many of these are in a unit of each pointmap.

    The number is positive where it is known.
    """
    rotation, centre = world_from_camera[:, :3, :3], world_from_camera[:, None, :3, 3]
    if batch.local is None:
        offsets = batch.world.flatten(1, 2) - centre
        depth = (offsets @ rotation[:, :, 2:]).view(batch.world.shape[:3])
        return depth.where(depth > 0, 0), torch.ones_like(depth[:, 0, 0])
    scale = _depth_scale(sample, ((sample.world - centre) @ rotation[:, :, 2:])[..., 0])
    depth = batch.local[..., 2] * scale[:, None, None]
    return depth.where(depth > 0, 0), scale


def _depth_scale(
    sample: Sample, world_depth: Float[Tensor, "views points"]
) -> Float[Tensor, " views"]:
    """Return world units per unit of the local pointmap, nan where no point tells it.

    The median over the points, weighted by confidence, of how much farther a world point is from
    the recovered camera than its local point: the scale that goes with this camera, whatever the
    similarity between the pointmaps would say.
    """
    assert sample.local_depth is not None
    ahead = (sample.local_depth > 0) & (world_depth > 0)
    ratio = (world_depth / sample.local_depth).where(ahead, 0)
    return weighted_median(ratio, sample.weights * ahead)


def depth_for_camera(
    prediction: Prediction,
    view: View,
    camera: Camera,
    *,
    device: torch.device | str = "cpu",
    seed: int = 0,
) -> Float[Tensor, "height width"] | None:
    """Return the depth of a view whose camera is known from elsewhere, in the predicted world.

    None where the world points do not land on their pixels under that camera.
    """
    (batch,) = batches([prediction], [view], [view.mask], torch.device(device))
    sample = sampled(batch, seed)
    intrinsics = image_intrinsics(view, camera.intrinsics)[None].to(batch.world)
    image_pose = camera.world_from_camera @ invert_rigid(network_from_photo_camera(view))
    pose = image_pose[None].to(batch.world)
    depth, scale = depth_in_world(batch, sample, pose)
    if judged(sample, intrinsics, pose).inlier_ratio[0] < MIN_INLIER_RATIO or not scale[0] > 0:
        return None
    return depth[0].cpu()
