"""`scene.html`: the scene as one page that opens in any browser, without network or server.

Its pieces, which put points and cameras into a page, are those of the live viewer too.
"""

import io
import math
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from fast3r.export.framing import Framing, framing, point_spacing, standpoint
from fast3r.geometry.transforms import quaternion_from_matrix
from fast3r.scene.point_cloud import Cloud, PointCloud, random_points
from fast3r.scene.reconstruction import Reconstruction

if TYPE_CHECKING:
    from viser import CameraFrustumHandle, PointCloudHandle, SceneApi, ViserServer

MAX_POINTS = 1_000_000
"""About 9 MB of page."""
_THUMBNAIL_PX = 160
_FIELD_OF_VIEW_DEG = 60.0
_CAMERA_COLOR = (230, 90, 40)
_DISC_RADIUS = 0.7
"""In distances between points: wide enough for surfaces seen at a slant."""


@dataclass(frozen=True)
class PointNode:
    """The points of one size in a page."""

    handle: "PointCloudHandle"
    """What changes them."""

    members: Int64[Tensor, " members"]
    """Which of the points that were added these are."""

    radius: float
    """Of their discs at size 1, in world units."""


def write(scene: Reconstruction, path: Path, *, cloud: Cloud | None = None) -> None:
    """Write the points, at most a million, and a frustum with its photo for each camera.

    Raises:
        ValueError: No view has a camera, or the cloud is empty.
        ImportError: viser is not installed.
    """
    cloud = random_points(scene.view_clouds() if cloud is None else cloud, MAX_POINTS)
    server = start_server()
    try:
        add_scene(server, scene, cloud)
        page = server.get_scene_serializer().as_html()
    finally:
        stop_server(server)
    path.write_text(page, encoding="utf-8")


def start_server(*, host: str = "127.0.0.1", port: int = 0) -> "ViserServer":
    """Return a running viewer server without a scene; port 0 is any free one.

    Raises:
        ImportError: viser is not installed.
    """
    try:
        import viser
    except ImportError as error:
        raise ImportError("the viewer needs viser: pip install 'fast3r[viewer]'") from error
    # viser announces itself on stdout, which belongs to scripts.
    with redirect_stdout(io.StringIO()):
        return viser.ViserServer(host=host, port=port, verbose=False)


def stop_server(server: "ViserServer") -> None:
    """Close every page of a server and free its port."""
    with redirect_stdout(io.StringIO()):
        server.stop()


def add_scene(server: "ViserServer", scene: Reconstruction, cloud: PointCloud) -> None:
    """Put the cloud and the cameras of a scene into a viewer, and stand where all is seen.

    The nodes are those of `add_points` below `/points` and, for view i, `/cameras/i`.

    Raises:
        ValueError: No view has a camera, or the cloud is empty.
    """
    frame = framing(scene, cloud)
    stand_back(server, scene, cloud, frame)
    spacing = point_spacing(scene, cloud)
    add_points(server.scene, "/points", cloud.points, cloud.colors, spacing)
    for i, view, _ in scene.posed_views():
        add_camera(server.scene, scene, i, view.pixels, depth=frame.frustum_depth)


def stand_back(
    server: "ViserServer", scene: Reconstruction, cloud: PointCloud, frame: Framing
) -> None:
    """Let browsers begin where they see the whole scene, upright."""
    server.scene.set_up_direction(frame.up.numpy())
    start = server.initial_camera
    start.fov = math.radians(_FIELD_OF_VIEW_DEG)
    start.position = standpoint(
        scene, cloud, frame, field_of_view_deg=_FIELD_OF_VIEW_DEG, aspect=1.5
    ).numpy()
    start.look_at = frame.centre.numpy()
    start.near = frame.radius * 1e-3
    start.far = frame.radius * 1e3


def add_points(
    scene_api: "SceneApi",
    name: str,
    points: Float[Tensor, "points 3"],
    colors: UInt8[Tensor, "points 3"],
    spacing: Float[Tensor, " points"],
    *,
    size: float = 1.0,
) -> list[PointNode]:
    """Draw points as discs that just leave no holes, near ones small and far ones large.

    A node of the page has one size of points, so there is a node `name/k` for each doubling of
    their distance from each other.

    Args:
        scene_api: Of a server, or of one browser.
        name: Of the nodes.
        points: In the world.
        colors: RGB.
        spacing: How far each point lies from the next ones, in world units.
        size: Makes the discs larger or smaller.
    """
    octave = spacing.clamp(min=torch.finfo(torch.float32).tiny).log2().floor()
    # A few strays would cost a node, and each node costs time in every frame.
    ranks = [1 + int(share * (len(octave) - 1)) for share in (0.03, 0.97)] if len(octave) else []
    octave = octave.clamp(*[octave.kthvalue(rank).values for rank in ranks]) if ranks else octave
    nodes = []
    for k, value in enumerate(octave.unique().tolist()):
        members = (octave == value).nonzero()[:, 0]
        # Relative to their middle the points keep their looks in half precision.
        middle = points[members].median(dim=0).values
        radius = _DISC_RADIUS * 2 ** (value + 0.5)
        handle = scene_api.add_point_cloud(
            f"{name}/{k}",
            (points[members] - middle).numpy(),
            colors[members].numpy(),
            position=middle.double().numpy(),
            point_size=radius * size,
            point_shape="rounded",
            point_shading="flat",
        )
        nodes.append(PointNode(handle, members, radius))
    return nodes


def add_camera(
    scene_api: "SceneApi",
    scene: Reconstruction,
    index: int,
    photo: UInt8[Tensor, "height width 3"] | None,
    *,
    depth: float,
) -> "CameraFrustumHandle":
    """Draw a registered view as the frustum of its network image, filled by its photo.

    Args:
        scene_api: Of a server, or of one browser.
        scene: Holds the camera.
        index: Of the view; the node is `/cameras/index`.
        photo: Its pixels, of which a thumbnail is made; None leaves the frustum empty.
        depth: From the tip of the frustum to the photo, in world units.
    """
    camera = scene.camera(index)
    pose = camera.world_from_camera.double()
    height, width = scene.depth[index].shape
    tangent, aspect = height / 2 / scene.network_focal_px(index), width / height
    step = max(height, width) // _THUMBNAIL_PX + 1
    return scene_api.add_camera_frustum(
        f"/cameras/{index}",
        fov=2 * math.atan(tangent),
        aspect=aspect,
        # viser draws frusta of equal volume; this brings the photo back to its depth.
        scale=depth * (tangent**2 * aspect / 3) ** (1 / 3),
        thickness=1.5,
        thickness_units="screen",
        color=_CAMERA_COLOR,
        image=None if photo is None else photo[::step, ::step].numpy(),
        format="jpeg",
        jpeg_quality=80,
        wxyz=quaternion_from_matrix(pose[:3, :3]).numpy(),
        position=pose[:3, 3].numpy(),
        cast_shadow=False,
    )
