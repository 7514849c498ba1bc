"""Writes COLMAP's three model files, as binary or text.

Models without the files `rigs` and `frames` of COLMAP 3.12 and later are read by every version.
"""

import struct
from pathlib import Path

import numpy as np

from fast3r.camera_files.colmap_model import (
    CAMERA_MODELS,
    ColmapImage,
    ColmapModel,
    ColmapPoints,
)
from fast3r.geometry.transforms import quaternion_from_matrix

_OBSERVATION = np.dtype([("x", "<f8"), ("y", "<f8"), ("point_id", "<i8")])


def write_binary(model: ColmapModel, folder: Path) -> None:
    """Write cameras.bin, images.bin and points3D.bin."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "cameras.bin").open("wb") as file:
        file.write(struct.pack("<Q", len(model.cameras)))
        for key, camera in model.cameras.items():
            number = list(CAMERA_MODELS).index(camera.model)
            file.write(struct.pack("<iiQQ", key, number, camera.width, camera.height))
            file.write(struct.pack(f"<{len(camera.parameters)}d", *camera.parameters))
    with (folder / "images.bin").open("wb") as file:
        file.write(struct.pack("<Q", len(model.images)))
        for key, image in model.images.items():
            file.write(struct.pack("<i7di", key, *_pose_numbers(image), image.camera_id))
            file.write(image.name.encode() + b"\0" + struct.pack("<Q", len(image.xy)))
            observations = np.empty(len(image.xy), dtype=_OBSERVATION)
            observations["x"], observations["y"] = image.xy.numpy().T
            observations["point_id"] = image.point_ids.numpy()
            file.write(observations.tobytes())
    (folder / "points3D.bin").write_bytes(_packed_points(model.points))


def _packed_points(points: ColmapPoints) -> bytes:
    """Return points3D.bin: records of equal track length are packed together, as arrays."""
    lengths = _track_lengths(points)
    chunks = [struct.pack("<Q", len(lengths))]
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        record = np.dtype(
            [
                ("id", "<u8"),
                ("xyz", "<f8", 3),
                ("rgb", "u1", 3),
                ("error", "<f8"),
                ("length", "<u8"),
                ("track", "<u4", (int(length), 2)),
            ]
        )
        records = np.zeros(len(rows), dtype=record)
        records["id"] = points.ids.numpy()[rows]
        records["xyz"] = points.positions.numpy()[rows]
        records["rgb"] = points.colors.numpy()[rows]
        records["error"] = points.errors.numpy()[rows]
        records["length"] = length
        entries = points.track_starts.numpy()[rows, None] + np.arange(length)
        records["track"] = points.tracks.numpy()[entries]
        chunks.append(records.tobytes())
    return b"".join(chunks)


def write_text(model: ColmapModel, folder: Path) -> None:
    """Write cameras.txt, images.txt and points3D.txt, with numbers that read back exactly.

    Raises:
        ValueError: The name of an image has white space: COLMAP would read only a part of it.
    """
    names = [image.name for image in model.images.values()]
    spaced = [name for name in names if name.split() != [name]]
    if spaced:
        raise ValueError(
            f"a COLMAP model as text cannot hold the name {spaced[0]!r}: names end at white "
            "space there; rename the photo or write the binary model"
        )
    folder.mkdir(parents=True, exist_ok=True)
    cameras = [
        f"{key} {c.model} {c.width} {c.height} {_joined(c.parameters)}"
        for key, c in model.cameras.items()
    ]
    _write_lines(folder / "cameras.txt", "CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]", cameras)
    images = []
    for key, image in model.images.items():
        images.append(f"{key} {_joined(_pose_numbers(image))} {image.camera_id} {image.name}")
        seen = zip(image.xy.tolist(), image.point_ids.tolist(), strict=True)
        images.append(" ".join(f"{x!r} {y!r} {point}" for (x, y), point in seen))
    header = (
        "IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME / POINTS2D[] as (X, Y, POINT3D_ID)"
    )
    _write_lines(folder / "images.txt", header, images)
    header = "POINT3D_ID, X, Y, Z, R, G, B, ERROR, TRACK[] as (IMAGE_ID, POINT2D_IDX)"
    _write_lines(folder / "points3D.txt", header, _point_lines(model.points))


def _point_lines(points: ColmapPoints) -> list[str]:
    starts = points.track_starts.tolist()
    ends = (points.track_starts.numpy() + _track_lengths(points)).tolist()
    tracks = points.tracks.flatten().tolist()
    columns = (points.ids, points.positions, points.colors, points.errors)
    rows = zip(*(column.tolist() for column in columns), starts, ends, strict=True)
    return [
        f"{key} {_joined(xyz)} {_joined(rgb)} {error!r} {_joined(tracks[2 * start : 2 * end])}"
        for key, xyz, rgb, error, start, end in rows
    ]


def _write_lines(path: Path, header: str, lines: list[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in (f"# {header}", *lines)), encoding="utf-8")


def _joined(numbers: tuple[float, ...] | list[float] | list[int]) -> str:
    return " ".join(repr(number) for number in numbers)


def _track_lengths(points: ColmapPoints) -> np.ndarray:
    return np.diff(points.track_starts.numpy(), append=len(points.tracks))


def _pose_numbers(image: ColmapImage) -> tuple[float, ...]:
    """Return the quaternion (w, x, y, z) and the translation of `camera_from_world`."""
    quaternion = quaternion_from_matrix(image.camera_from_world[:3, :3])
    return (*quaternion.tolist(), *image.camera_from_world[:3, 3].tolist())
