"""Bundle adjustment by pycolmap, of photos alone or with what is known of their cameras."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.scene.priors.found_cameras import spread
from fast3r.scene.refinement.features import import_pycolmap
from fast3r.scene.refinement.matching import working_camera
from fast3r.scene.refinement.photos import WorkingPhoto

_LOSS_PX = 1.0
"""Residual, in working pixels, from which the loss grows slower."""

_PLACE_LOSS = 2.0
"""The same for known places, in their standard deviations."""

_NUDGE_SIGMAS = 1e-3

_BEFORE_SIGMAS, _BEFORE_SHARE = 4.0, 0.1
"""How far cameras may be from their places before, in standard deviations or of their spread:
where most are farther, pycolmap forgets about the places."""


@dataclass(frozen=True)
class KnownPlace:
    """Where a camera stood, more or less."""

    centre: Float[Tensor, " 3"]
    """In the world of the model, in float64."""

    sigma: Float[Tensor, " 3"]
    """Standard deviation along each axis."""


def adjust(mapped: Any, photos: Sequence[WorkingPhoto], *, loss_px: float = _LOSS_PX) -> None:
    """Adjust a model of pycolmap, with a loss that outliers bend little.

    Known intrinsics are put back and kept: mapping may have changed them along with others.
    """
    pycolmap = import_pycolmap()
    config = _config(mapped, photos)
    config.fix_gauge(pycolmap.BundleAdjustmentGauge.TWO_CAMS_FROM_WORLD)
    pycolmap.create_default_bundle_adjuster(_options(loss_px), config, mapped).solve()


def adjust_to_poses(
    mapped: Any,
    photos: Sequence[WorkingPhoto],
    poses: Mapping[int, Float[Tensor, "4 4"]],
    *,
    loss_px: float = _LOSS_PX,
) -> None:
    """Put cameras where they are known to stand, and adjust the others and the points to them.

    Args:
        mapped: A model of pycolmap, in the world of the poses as well as it fits there.
        photos: Of all views.
        poses: Rigid `world_from_camera` of two views or more, by index.
        loss_px: Residual from which the loss grows slower: a larger one for a model that is yet
            to be bent.
    """
    pycolmap = import_pycolmap()
    config = _config(mapped, photos)
    for image in _images(mapped, poses):
        camera_from_world = np.linalg.inv(poses[int(image.name)].numpy())
        image.frame.set_cam_from_world(
            image.camera_id, pycolmap.Rigid3d(np.ascontiguousarray(camera_from_world[:3]))
        )
        config.set_constant_rig_from_world_pose(image.frame_id)
    pycolmap.create_default_bundle_adjuster(_options(loss_px), config, mapped).solve()


def adjust_to_places(
    mapped: Any, photos: Sequence[WorkingPhoto], places: Mapping[int, KnownPlace], *, seed: int
) -> None:
    """Adjust all to the photos and, by their weight, to places that three cameras or more had.

    Args:
        mapped: A model of pycolmap; its world becomes that of the places.
        photos: Of all views.
        places: By index of the view.
        seed: Of the first alignment.
    """
    pycolmap = import_pycolmap()
    # Places that lie exactly in a plane pycolmap does not align to, and silently forgets.
    random = torch.Generator().manual_seed(seed)
    nudges = {
        i: _NUDGE_SIGMAS * place.sigma.min() * torch.randn(3, generator=random).double()
        for i, place in places.items()
    }
    priors = []
    for image in _images(mapped, places):
        place = places[int(image.name)]
        sensor = pycolmap.sensor_t(pycolmap.SensorType.CAMERA, image.camera_id)
        prior = pycolmap.PosePrior(pose_prior_id=image.image_id)
        prior.corr_data_id = pycolmap.data_t(sensor, image.image_id)
        prior.position = (place.centre + nudges[int(image.name)]).numpy()
        prior.position_covariance = np.diag(place.sigma.square().numpy())
        prior.coordinate_system = pycolmap.PosePriorCoordinateSystem.CARTESIAN
        priors.append(prior)
    options = pycolmap.PosePriorBundleAdjustmentOptions()
    options.alignment_ransac.random_seed = seed
    options.alignment_ransac.max_error = _reach(list(places.values()))
    options.ceres.prior_position_loss_function_type = pycolmap.LossFunctionType.CAUCHY
    options.ceres.prior_position_loss_scale = _PLACE_LOSS
    pycolmap.create_pose_prior_bundle_adjuster(
        _options(_LOSS_PX), options, _config(mapped, photos), priors, mapped
    ).solve()


def _reach(places: Sequence[KnownPlace]) -> float:
    centres = torch.stack([place.centre for place in places])
    sigma = torch.stack([place.sigma.min() for place in places]).median().item()
    return max(_BEFORE_SIGMAS * sigma, _BEFORE_SHARE * spread(centres))


def _images(mapped: Any, wanted: Mapping[int, Any]) -> list[Any]:
    images = [mapped.images[image_id] for image_id in mapped.reg_image_ids()]
    return [image for image in images if int(image.name) in wanted]


def _options(loss_px: float) -> Any:
    pycolmap = import_pycolmap()
    options = pycolmap.BundleAdjustmentOptions(print_summary=False)
    options.ceres.loss_function_type = pycolmap.LossFunctionType.CAUCHY
    options.ceres.loss_function_scale = loss_px
    options.ceres.solver_options.num_threads = 1
    options.ceres.solver_options.max_num_iterations = 50
    return options


def _config(mapped: Any, photos: Sequence[WorkingPhoto]) -> Any:
    """Return what is adjusted: everything but known intrinsics, which are put back."""
    config = import_pycolmap().BundleAdjustmentConfig()
    for image_id in mapped.reg_image_ids():
        config.add_image(image_id)
        photo = photos[int(mapped.images[image_id].name)]
        if photo.intrinsics is not None:
            camera_id = mapped.images[image_id].camera_id
            mapped.cameras[camera_id].params = working_camera(photo).params
            config.set_constant_cam_intrinsics(camera_id)
    return config
