"""`scene.html`: the scene as one page that opens in any browser, without network or server."""

import io
import math
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from fast3r.export.framing import framing, point_spacing, standpoint
from fast3r.geometry.cameras import Camera
from fast3r.geometry.transforms import quaternion_from_matrix
from fast3r.scene.point_cloud import PointCloud, random_points
from fast3r.scene.reconstruction import Reconstruction
from fast3r.views.view import View

if TYPE_CHECKING:
    import viser

MAX_POINTS = 1_000_000
"""About 9 MB of page."""
_THUMBNAIL_PX = 160
_FIELD_OF_VIEW_DEG = 60.0


def write(scene: Reconstruction, path: Path, *, cloud: PointCloud | None = None) -> None:
    """Write the points, at most a million, and a frustum with its photo for each camera.

    Raises:
        ValueError: No view has a camera, or the cloud is empty.
        ImportError: viser is not installed.
    """
    cloud = random_points(scene.point_cloud() if cloud is None else cloud, MAX_POINTS)
    # viser announces on stdout the server that makes the page.
    with redirect_stdout(io.StringIO()):
        server = start_server()
        try:
            add_scene(server, scene, cloud)
            page = server.get_scene_serializer().as_html()
        finally:
            server.stop()
    path.write_text(page, encoding="utf-8")


def start_server(*, host: str = "127.0.0.1", port: int = 0) -> "viser.ViserServer":
    """Return a running viewer server without a scene; port 0 is any free one.

    Raises:
        ImportError: viser is not installed.
    """
    try:
        import viser
    except ImportError as error:
        raise ImportError("the viewer needs viser: pip install 'fast3r[viewer]'") from error
    return viser.ViserServer(host=host, port=port, verbose=False)


def add_scene(server: "viser.ViserServer", scene: Reconstruction, cloud: PointCloud) -> None:
    """Put the cloud and the cameras of a scene into a viewer, and stand where all is seen.

    The nodes are `/points` and, for view i, `/cameras/i`.

    Raises:
        ValueError: No view has a camera, or the cloud is empty.
    """
    frame = framing(scene, cloud)
    server.scene.set_up_direction(frame.up.numpy())
    server.initial_camera.fov = math.radians(_FIELD_OF_VIEW_DEG)
    server.initial_camera.position = standpoint(
        scene, cloud, frame, field_of_view_deg=_FIELD_OF_VIEW_DEG, aspect=1.5
    ).numpy()
    server.initial_camera.look_at = frame.centre.numpy()
    server.initial_camera.near = frame.radius * 1e-3
    server.initial_camera.far = frame.radius * 1e3
    # Relative to their middle the points keep their looks in half precision.
    server.scene.add_point_cloud(
        "/points",
        (cloud.points - frame.centre.float()).numpy(),
        cloud.colors.numpy(),
        position=frame.centre.numpy(),
        point_size=point_spacing(scene, cloud).median().item(),
        point_shape="rounded",
        point_shading="flat",
    )
    for i, view, camera in scene.posed_views():
        focal_px = scene.network_focal_px(i)
        _add_camera(server, i, view, camera, frame.frustum_depth, focal_px)


def _add_camera(
    server: "viser.ViserServer",
    index: int,
    view: View,
    camera: Camera,
    depth: float,
    focal_px: float,
) -> None:
    """Draw one camera as the frustum of its network image, which its thumbnail fills."""
    pose = camera.world_from_camera.double()
    tangent, aspect = view.height / 2 / focal_px, view.width / view.height
    step = max(view.height, view.width) // _THUMBNAIL_PX + 1
    server.scene.add_camera_frustum(
        f"/cameras/{index}",
        fov=2 * math.atan(tangent),
        aspect=aspect,
        # viser draws frusta of equal volume; this brings the photo back to its depth.
        scale=depth * (tangent**2 * aspect / 3) ** (1 / 3),
        thickness=1.5,
        thickness_units="screen",
        color=(230, 90, 40),
        image=view.pixels[::step, ::step].numpy(),
        format="jpeg",
        jpeg_quality=80,
        wxyz=quaternion_from_matrix(pose[:3, :3]).numpy(),
        position=pose[:3, 3].numpy(),
        cast_shadow=False,
    )
