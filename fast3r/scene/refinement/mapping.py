"""Structure from motion by pycolmap: all cameras at once (GLOMAP), or one by one (COLMAP)."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import torch

from fast3r.scene.refinement.adjustment import adjust
from fast3r.scene.refinement.evidence import Evidence
from fast3r.scene.refinement.features import import_pycolmap
from fast3r.scene.refinement.matching import working_camera
from fast3r.scene.refinement.photos import WorkingPhoto
from fast3r.scene.refinement.sparse import Sightings, SparseCamera, SparseModel

Way = Literal["global", "incremental"]
Intrinsics = Literal["shared", "own"]

_MIN_VIEWS = 2


def map_photos(
    evidence: Evidence, way: Way, intrinsics: Intrinsics, *, seed: int
) -> list[SparseModel]:
    """Return models of disjoint views, the largest first.

    Args:
        evidence: Features and matches.
        way: "global" finds all rotations, then all positions; it needs little parallax and few
            matches, but every pair to be right. "incremental" adds one view after another.
        intrinsics: "shared" by photos of one camera and size, or each photo's "own".
        seed: Of all sampling.
    """
    with TemporaryDirectory(prefix="fast3r-refine-") as folder:
        database = Path(folder) / "database.db"
        known_ids = _write(evidence, database, intrinsics)
        if way == "global":
            found = _global(database, evidence.photos, seed)
        else:
            found = _incremental(database, known_ids, seed)
    for model in found:
        adjust(model, evidence.photos)
    models = [sparse_model(model, evidence.photos) for model in found]
    return _disjoint([model for model in models if len(model.cameras) >= _MIN_VIEWS])


def _write(evidence: Evidence, path: Path, intrinsics: Intrinsics) -> set[int]:
    """Write a database, and return its cameras whose intrinsics are known."""
    pycolmap = import_pycolmap()
    camera_ids: dict[object, int] = {}
    known_ids: set[int] = set()
    with pycolmap.Database.open(path) as database:
        for index, photo in enumerate(evidence.photos):
            key = photo.camera if intrinsics == "shared" else index
            if key not in camera_ids:
                camera_ids[key] = database.write_camera(working_camera(photo))
                database.write_rig(_rig(camera_ids[key]))
                if photo.intrinsics is not None:
                    known_ids.add(camera_ids[key])
            _write_image(database, index + 1, camera_ids[key])
            database.write_keypoints(index + 1, evidence.features[index].positions.numpy())
        for (i, j), pair in evidence.verified.items():
            matches = pair.matches.numpy().astype(np.uint32)
            database.write_matches(i + 1, j + 1, matches)
            database.write_two_view_geometry(i + 1, j + 1, pair.geometry)
    return known_ids


def _global(database: Path, photos: Sequence[WorkingPhoto], seed: int) -> list[Any]:
    pycolmap = import_pycolmap()
    calibration = pycolmap.ViewGraphCalibrationOptions(random_seed=seed)
    pycolmap.calibrate_view_graph(database, calibration)
    options = pycolmap.GlobalPipelineOptions(
        num_threads=1, random_seed=seed, min_model_size=_MIN_VIEWS
    )
    options.min_num_matches = 10
    mapper = options.mapper
    mapper.num_threads = mapper.bundle_adjustment.ceres.solver_options.num_threads = 1
    for part in (mapper, mapper.rotation_averaging, mapper.global_positioning):
        part.random_seed = seed
    mapper.retriangulation.random_seed = seed
    if all(photo.intrinsics is not None for photo in photos):
        mapper.bundle_adjustment.refine_focal_length = False
        mapper.bundle_adjustment.refine_extra_params = False
    if len(photos) == 2:
        # Points must be seen in three photos, of which two photos have none.
        mapper.track_min_num_views_per_track = 2
        mapper.global_positioning.min_num_view_per_track = 2
        mapper.bundle_adjustment.min_track_length = 2
        mapper.retriangulation.ignore_two_view_tracks = False
    folder = database.parent
    return list(pycolmap.global_mapping(database, folder, folder, options).values())


def _incremental(database: Path, known_ids: set[int], seed: int) -> list[Any]:
    pycolmap = import_pycolmap()
    options = pycolmap.IncrementalPipelineOptions(
        num_threads=1, random_seed=seed, min_model_size=_MIN_VIEWS, extract_colors=False
    )
    options.min_num_matches = 10
    # COLMAP is made for many photos; few and far apart ones need a start from less parallax
    # and views that join with fewer points.
    options.mapper.init_min_tri_angle = 4
    options.mapper.init_min_num_inliers = 30
    options.mapper.abs_pose_min_num_inliers = 12
    options.mapper.abs_pose_min_inlier_ratio = 0.15
    options.triangulation.ignore_two_view_tracks = False
    options.constant_cameras = known_ids
    folder = database.parent
    return list(pycolmap.incremental_mapping(database, folder, folder, options).values())


def sparse_model(mapped: Any, photos: Sequence[WorkingPhoto]) -> SparseModel:
    """Return a model of pycolmap as ours."""
    cameras, sightings = {}, {}
    for image in mapped.images.values():
        if not image.has_pose:
            continue
        index = int(image.name)
        focal_px, _, _, distortion = mapped.cameras[image.camera_id].params
        known = photos[index].intrinsics
        if known is not None:
            focal_px, distortion = known[:2, :2].det().sqrt(), 0.0
        pose = torch.eye(4, dtype=torch.float64)
        pose[:3] = torch.from_numpy(image.cam_from_world().inverse().matrix())
        cameras[index] = SparseCamera(float(focal_px), float(distortion), pose, known)
        seen = [p for p in image.points2D if p.has_point3D()]
        points = np.array([mapped.points3D[p.point3D_id].xyz for p in seen]).reshape(-1, 3)
        positions = np.array([p.xy for p in seen]).reshape(-1, 2)
        sightings[index] = Sightings(torch.from_numpy(points), torch.from_numpy(positions))
    return SparseModel(cameras, sightings, mapped.num_points3D(), mapped)


def _rig(camera_id: int) -> Any:
    pycolmap = import_pycolmap()
    rig = pycolmap.Rig(rig_id=camera_id)
    rig.add_ref_sensor(pycolmap.sensor_t(pycolmap.SensorType.CAMERA, camera_id))
    return rig


def _write_image(database: Any, image_id: int, camera_id: int) -> None:
    """Write an image, named after its index, and the frame that pycolmap wants around it."""
    pycolmap = import_pycolmap()
    image = pycolmap.Image(name=str(image_id - 1), camera_id=camera_id, image_id=image_id)
    database.write_image(image, use_image_id=True)
    frame = pycolmap.Frame(frame_id=image_id, rig_id=camera_id)
    sensor = pycolmap.sensor_t(pycolmap.SensorType.CAMERA, camera_id)
    frame.add_data_id(pycolmap.data_t(sensor, image_id))
    database.write_frame(frame, use_frame_id=True)


def _disjoint(models: Sequence[SparseModel]) -> list[SparseModel]:
    """Return models without the views that a larger one has."""
    taken: set[int] = set()
    left = []
    for model in sorted(models, key=lambda m: (len(m.cameras), m.num_points), reverse=True):
        own = model.cameras.keys() - taken
        if len(own) >= _MIN_VIEWS:
            taken |= own
            left.append(model.only(own))
    return left
