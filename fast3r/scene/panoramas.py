"""Panoramas whose faces are views: one place and one orientation for all faces of each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.geometry.cameras import Camera
from fast3r.geometry.transforms import agreeing_rotations, nearest_rotation
from fast3r.scene.reconstruction import Reconstruction
from fast3r.views.panorama import Face
from fast3r.views.view import View


@dataclass(frozen=True)
class Panorama:
    """A panorama by its faces."""

    face: Face
    """One of its faces, which tells its name and size."""

    views: list[int]
    """Indices of the views that are its faces."""

    world_from_camera: Float[Tensor, "4 4"] | None
    """Its pose in float64; None where its faces do not tell it."""


def panoramas(scene: Reconstruction) -> list[Panorama]:
    """Return the panoramas that views of a scene are faces of, in their order."""
    return _panoramas(scene.views, scene.cameras)


def tied_faces(views: Sequence[View], cameras: Sequence[Camera | None]) -> dict[int, Camera | str]:
    """Return the camera of each view that is a face, or why it has none.

    The faces of a panorama get one centre, and rotations that fit together exactly, by what most
    of them say. Faces without a camera get theirs from the others.
    """
    tied: dict[int, Camera | str] = {}
    for panorama in _panoramas(views, cameras):
        for index in panorama.views:
            pose = panorama.world_from_camera
            if pose is None:
                tied[index] = "the faces of its panorama do not agree on where it is"
            else:
                tied[index] = _face_camera(views[index], pose)
    return tied


def with_tied_faces(scene: Reconstruction) -> Reconstruction:
    """Return a scene of which every face that has a camera fits to the others; depth stays.

    Faces without a camera, and panoramas whose faces do not agree, stay as they are.
    """
    tied = tied_faces(scene.views, scene.cameras)
    cameras = list(scene.cameras)
    for index, camera in tied.items():
        if isinstance(camera, Camera) and cameras[index] is not None:
            cameras[index] = camera
    return replace(scene, cameras=cameras)


def _panoramas(views: Sequence[View], cameras: Sequence[Camera | None]) -> list[Panorama]:
    faces: dict[str, list[int]] = {}
    for index, view in enumerate(views):
        if view.face is not None:
            faces.setdefault(view.face.panorama, []).append(index)
    found = []
    for indices in faces.values():
        face = views[indices[0]].face
        assert face is not None
        found.append(Panorama(face, indices, _pose(views, cameras, indices)))
    return found


def _pose(
    views: Sequence[View], cameras: Sequence[Camera | None], indices: Sequence[int]
) -> Float[Tensor, "4 4"] | None:
    """Return the pose that most faces of a panorama say it has; None where none agree."""
    poses = []
    for index in indices:
        camera, face = cameras[index], views[index].face
        if camera is not None and face is not None:
            pose = camera.world_from_camera.double().clone()
            pose[:3, :3] = pose[:3, :3] @ face.panorama_from_face.mT
            poses.append(pose)
    if not poses:
        return None
    said = torch.stack(poses)
    agreeing = said[agreeing_rotations(said[:, :3, :3])]
    if len(said) > 1 and len(agreeing) == 1:
        return None
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3] = nearest_rotation(agreeing[:, :3, :3].mean(dim=0))
    pose[:3, 3] = agreeing[:, :3, 3].quantile(0.5, dim=0)
    return pose


def _face_camera(view: View, world_from_panorama: Float[Tensor, "4 4"]) -> Camera:
    assert view.face is not None
    pose = world_from_panorama.clone()
    pose[:3, :3] = pose[:3, :3] @ view.face.panorama_from_face
    return Camera(
        intrinsics=view.face.intrinsics.float(),
        world_from_camera=pose.float(),
        height=view.original_height,
        width=view.original_width,
    )
