"""Writes evaluation sets in their true layouts, from cameras and depth that are known."""

import gzip
import json
import pickle
import sys
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from tests.datasets.wall import Shot, write_millimetres, write_photo

KINECT = np.array([[525.0, 0, 320.5], [0, 525, 240.5], [0, 0, 1]])
NRGBD = np.array([[554.2562584220408, 0, 320.5], [0, 554.2562584220408, 240.5], [0, 0, 1]])
FREIBURG3 = np.array([[535.4, 0, 320.6], [0, 539.2, 248.1], [0, 0, 1]])

_FLIP = np.diag([1.0, -1.0, -1.0, 1.0])


def small_camera(height: int, width: int) -> np.ndarray:
    return np.array([[width * 0.9, 0, width / 2], [0, width * 0.9, height / 2], [0, 0, 1]])


def shots(count: int, intrinsics: np.ndarray, height: int, width: int) -> list[Shot]:
    """Return views of a bumpy wall from cameras on a helix, that all look its way."""
    return [_shot(place, intrinsics, height, width) for place in range(count)]


def _shot(place: int, intrinsics: np.ndarray, height: int, width: int) -> Shot:
    pose = np.eye(4)
    angle = 0.1 * place
    pose[:3, :3] = [
        [np.cos(angle), 0, np.sin(angle)],
        [0, 1, 0],
        [-np.sin(angle), 0, np.cos(angle)],
    ]
    pose[:3, 3] = np.cos(0.7 * place), np.sin(0.7 * place), 0.1 * place
    y, x = np.mgrid[:height, :width] / width
    depth = np.round(2 + 0.3 * np.sin(5 * x + place) * np.cos(4 * y), 3)
    image = np.zeros((height, width, 3), np.uint8)
    image[:] = 200, 100 - 2 * place, 40
    return Shot(image, depth, intrinsics, pose)


def write_text(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def write_matrix(path: Path, matrix: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savetxt(path, matrix)


def numbers(*values: np.ndarray | float) -> str:
    return " ".join(repr(float(v)) for part in values for v in np.ravel(part))


def quaternion(rotation: np.ndarray) -> np.ndarray:
    """Return w, x, y, z of a turn about the y axis, as all shots have."""
    angle = np.arctan2(rotation[0, 2], rotation[0, 0])
    return np.array([np.cos(angle / 2), 0, np.sin(angle / 2), 0])


def write_seven_scenes(root: Path, sequence: int, taken: Sequence[Shot]) -> None:
    write_text(root / "chess" / "TestSplit.txt", f"sequence{sequence}")
    for place, shot in enumerate(taken):
        stem = root / "chess" / f"seq-{sequence:02}" / f"frame-{place:06}"
        write_photo(Path(f"{stem}.color.png"), shot.image)
        write_millimetres(Path(f"{stem}.depth.proj.png"), shot.depth_m)
        write_matrix(Path(f"{stem}.pose.txt"), shot.world_from_camera)


def write_nrgbd(root: Path, taken: Sequence[Shot]) -> None:
    folder = root / "breakfast_room"
    for place, shot in enumerate(taken):
        write_photo(folder / "images" / f"img{place}.png", shot.image)
        write_millimetres(folder / "depth" / f"depth{place}.png", shot.depth_m)
    write_matrix(folder / "poses.txt", np.concatenate([s.world_from_camera @ _FLIP for s in taken]))


def write_dtu(root: Path, scan: str, taken: Sequence[Shot]) -> None:
    """Write lengths in mm, with masks that leave out the left quarter."""
    names = [f"{place:08}" for place in range(len(taken))]
    for name, shot in zip(names, taken, strict=True):
        world_from_camera = shot.world_from_camera.copy()
        world_from_camera[:3, 3] *= 1000
        rows = [" ".join(map(repr, row)) for row in np.linalg.inv(world_from_camera).tolist()]
        camera = [" ".join(map(repr, row)) for row in shot.integer_centred.tolist()]
        write_text(
            root / scan / "cams" / f"{name}_cam.txt",
            *("extrinsic", *rows, "", "intrinsic", *camera, "", "425.0 2.5"),
        )
        write_photo(root / scan / "images" / f"{name}.jpg", shot.image)
        path = root / scan / "depths" / f"{name}.npy"
        path.parent.mkdir(exist_ok=True)
        np.save(path, (shot.depth_m * 1000).astype(np.float32))
        mask = np.full(shot.depth_m.shape, 255, np.uint8)
        mask[:, : mask.shape[1] // 4] = 0
        write_photo(root / scan / "binary_masks" / f"{name}.png", mask)
    pairs = []
    for place in range(len(taken)):
        others = [other for other in range(len(taken)) if other != place]
        pairs += [str(place), f"{len(others)} " + " ".join(f"{o} {100 - o}.5" for o in others)]
    write_text(root / scan / "pair.txt", str(len(taken)), *pairs)


def write_scannet(root: Path, scene: str, taken: Sequence[Shot]) -> None:
    """Write photos twice as large as the depth maps."""
    folder = root / scene
    for place, shot in enumerate(taken):
        write_photo(folder / "color" / f"{place}.jpg", shot.image.repeat(2, 0).repeat(2, 1))
        write_millimetres(folder / "depth" / f"{place}.png", shot.depth_m)
        write_matrix(folder / "pose" / f"{place}.txt", shot.world_from_camera)
        intrinsics = np.eye(4)
        intrinsics[:3, :3] = shot.integer_centred
        write_matrix(folder / "intrinsic" / "intrinsic_depth.txt", intrinsics)


def write_tum(root: Path, sequence: str, taken: Sequence[Shot]) -> None:
    """Write photos 1/30 s apart; depth comes 5 ms, poses 10 ms later, and poses in between."""
    folder = root / sequence
    rgb, depth, truth = ["# color images"], ["# depth maps"], ["# timestamp tx ty tz qx qy qz qw"]
    for place, shot in enumerate(taken):
        time = 1341846313.0 + place / 30
        rgb.append(f"{time:.6f} rgb/{time:.6f}.png")
        depth.append(f"{time + 0.005:.6f} depth/{time + 0.005:.6f}.png")
        write_photo(folder / "rgb" / f"{time:.6f}.png", shot.image)
        stored = np.round(shot.depth_m * 5000).astype(np.uint16)
        write_photo(folder / "depth" / f"{time + 0.005:.6f}.png", stored)
        w, x, y, z = quaternion(shot.world_from_camera[:3, :3])
        centre = shot.world_from_camera[:3, 3]
        truth.append(f"{time + 0.010:.4f} {numbers(centre, x, y, z, w)}")
        truth.append(f"{time + 0.019:.4f} {numbers(centre + 9, x, y, z, w)}")
    write_text(folder / "rgb.txt", *rgb)
    write_text(folder / "depth.txt", *depth)
    write_text(folder / "groundtruth.txt", *truth)


def write_re10k(root: Path, clip: str, taken: Sequence[Shot], *, photos: str = "frames") -> None:
    lines = ["https://www.youtube.com/watch?v=0"]
    for place, shot in enumerate(taken):
        height, width = shot.depth_m.shape
        k = shot.intrinsics
        shares = (k[0, 0] / width, k[1, 1] / height, k[0, 2] / width, k[1, 2] / height)
        camera_from_world = np.linalg.inv(shot.world_from_camera)[:3]
        lines.append(f"{100100 * place} " + numbers(*shares, 0, 0, camera_from_world))
        write_photo(root / photos / "test" / clip / f"{100100 * place}.jpg", shot.image)
    write_text(root / "test" / f"{clip}.txt", *lines)


def write_eth3d(root: Path, scene: str, taken: Sequence[Shot]) -> None:
    folder = root / scene
    height, width = taken[0].depth_m.shape
    k = taken[0].intrinsics
    camera = numbers(k[0, 0], k[1, 1], k[0, 2], k[1, 2], np.zeros(8))
    calibration = folder / "dslr_calibration_jpg"
    write_text(
        calibration / "cameras.txt",
        "# Camera list with one line of data per camera:",
        f"0 THIN_PRISM_FISHEYE {width} {height} {camera}",
    )
    lines = ["# Image list with two lines of data per image:"]
    for place, shot in enumerate(taken):
        name = f"dslr_images/DSC_{place:04}.JPG"
        pose = np.linalg.inv(shot.world_from_camera)
        lines += [f"{place} {numbers(quaternion(pose[:3, :3]), pose[:3, 3])} 0 {name}", ""]
        photo = folder / "images" / name
        write_photo(photo.with_suffix(".jpg"), shot.image)
        photo.with_suffix(".jpg").rename(photo)
        depth = folder / "ground_truth_depth" / name
        depth.parent.mkdir(parents=True, exist_ok=True)
        values = shot.depth_m.astype("<f4")
        values[0, 0] = np.inf
        depth.write_bytes(values.tobytes())
    write_text(calibration / "images.txt", *lines)


def write_co3d_raw(root: Path, category: str, sequences: dict[str, list[Shot]]) -> None:
    """Write cameras as PyTorch3D has them: axes left and up, rotations that act from the right."""
    flip = np.diag([-1.0, -1.0, 1.0])
    frames, test = [], []
    for sequence, taken in sequences.items():
        for place, shot in enumerate(taken):
            pose = np.linalg.inv(shot.world_from_camera)
            half = np.array(shot.depth_m.shape[::-1]) / 2
            path = f"{category}/{sequence}/images/frame{place + 1:06}.jpg"
            write_photo(root / path, shot.image)
            viewpoint = {
                "R": (flip @ pose[:3, :3]).T.tolist(),
                "T": (flip @ pose[:3, 3]).tolist(),
                "focal_length": (shot.intrinsics[[0, 1], [0, 1]] / half.min()).tolist(),
                "principal_point": ((half - shot.intrinsics[:2, 2]) / half.min()).tolist(),
                "intrinsics_format": "ndc_isotropic",
            }
            frame = {"sequence_name": sequence, "frame_number": place + 1}
            frames.append({**frame, "image": {"path": path}, "viewpoint": viewpoint})
            test.append([sequence, place + 1, path])
    quality = [{"sequence_name": s, "viewpoint_quality_score": 0.9} for s in sequences]
    quality.append({"sequence_name": "bad", "viewpoint_quality_score": 0.2})
    test.append(["bad", 1, f"{category}/bad/images/frame000001.jpg"])
    write_gzip(root / category / "frame_annotations.jgz", frames)
    write_gzip(root / category / "sequence_annotations.jgz", quality)
    lists = {"train": [], "val": [], "test": test[::-1]}
    path = root / category / "set_lists" / "set_lists_fewview_dev.json"
    write_text(path, json.dumps(lists))


def write_gzip(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(json.dumps(content).encode()))


def write_robustmvd(root: Path, taken: Sequence[Shot], *, key: int) -> None:
    """Write one sample of ETH3D with RobustMVD's list, whose classes exist while it is written."""
    folder = root / "courtyard"
    for place, shot in enumerate(taken):
        write_photo(folder / "images" / f"{place}.png", shot.image)
    (folder / "depth").write_bytes(taken[key].depth_m.astype("<f4").tobytes())
    with rmvd() as (sample_class, path_class):
        sample = sample_class()
        sample.base, sample.name = "courtyard", "courtyard/0"
        sample.data = {
            "images": [path_class(f"images/{place}.png") for place in range(len(taken))],
            "poses": [np.linalg.inv(shot.world_from_camera) for shot in taken],
            "intrinsics": [shot.intrinsics.astype(np.float32) for shot in taken],
            "keyview_idx": key,
            "depth": path_class("depth"),
        }
        content = pickle.dumps([sample])
    (root / "eth3d.robustmvd.mvd.pickle").write_bytes(content)


@contextmanager
def rmvd() -> Iterator[tuple[type, type]]:
    class ETH3DSample:
        pass

    class ETH3DImage:
        def __init__(self, path: str) -> None:
            self.path = path

    names = ("rmvd", "rmvd.data", "rmvd.data.eth3d")
    for name in names:
        sys.modules[name] = types.ModuleType(name)
    for made in (ETH3DSample, ETH3DImage):
        made.__module__, made.__qualname__ = names[-1], made.__name__
        setattr(sys.modules[names[-1]], made.__name__, made)
    try:
        yield ETH3DSample, ETH3DImage
    finally:
        for name in names:
            del sys.modules[name]
