"""Rotations and similarities of space, batched over leading axes."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Similarity:
    """Scale, then rotate, then shift: `y = scale * rotation @ x + translation`."""

    scale: Float[Tensor, "*batch"]
    """Positive."""

    rotation: Float[Tensor, "*batch 3 3"]
    """Proper rotation matrix."""

    translation: Float[Tensor, "*batch 3"]
    """In units of the target."""

    @staticmethod
    def identity() -> "Similarity":
        """Return the one that changes nothing, in float64."""
        eye = torch.eye(3, dtype=torch.float64)
        return Similarity(eye[0, 0], eye, torch.zeros(3, dtype=torch.float64))

    @staticmethod
    def stack(each: Sequence["Similarity"]) -> "Similarity":
        """Return several as one batch."""
        scale, rotation, translation = zip(
            *((s.scale, s.rotation, s.translation) for s in each), strict=True
        )
        return Similarity(torch.stack(scale), torch.stack(rotation), torch.stack(translation))

    def __getitem__(self, index: int | Int[Tensor, " _"] | tuple[Tensor, ...]) -> "Similarity":
        """Return some of a batch."""
        return Similarity(self.scale[index], self.rotation[index], self.translation[index])

    def __call__(
        self, points: Float[Tensor, "*batch points 3"]
    ) -> Float[Tensor, "*batch points 3"]:
        """Return the points moved from the source frame to the target frame."""
        linear = self.scale[..., None, None] * self.rotation.mT
        return points @ linear + self.translation[..., None, :]

    def moved_pose(self, pose: Float[Tensor, "4 4"]) -> Float[Tensor, "4 4"]:
        """Return a rigid pose moved from the source frame to the target frame; it stays rigid."""
        moved = pose.clone()
        moved[:3, :3] = self.rotation @ pose[:3, :3]
        moved[:3, 3] = self(pose[None, :3, 3])[0]
        return moved

    def __matmul__(self, first: "Similarity") -> "Similarity":
        """Return the map that applies `first` and then this one."""
        moved = self.scale[..., None] * (self.rotation @ first.translation[..., None])[..., 0]
        return Similarity(
            self.scale * first.scale, self.rotation @ first.rotation, moved + self.translation
        )

    def inverse(self) -> "Similarity":
        """Return the map from the target frame back to the source frame."""
        scale, rotation = 1 / self.scale, self.rotation.mT
        translation = -scale[..., None] * (rotation @ self.translation[..., None])[..., 0]
        return Similarity(scale, rotation, translation)

    @property
    def matrix(self) -> Float[Tensor, "*batch 4 4"]:
        """The map on homogeneous coordinates."""
        matrix = self.rotation.new_zeros((*self.scale.shape, 4, 4))
        matrix[..., :3, :3] = self.scale[..., None, None] * self.rotation
        matrix[..., :3, 3] = self.translation
        matrix[..., 3, 3] = 1
        return matrix


def fit_similarity(
    source: Float[Tensor, "*batch points 3"],
    target: Float[Tensor, "*batch points 3"],
    weights: Float[Tensor, "*batch points"] | None = None,
    *,
    with_scale: bool = True,
) -> Similarity:
    """Return the similarity that maps `source` onto `target` with least squared error.

    The closed form of Umeyama (1991), equations 34 to 43. Points of zero weight count for
    nothing, as long as they are finite. Where the points lie on one line, the rotation about
    that line is arbitrary; where all coincide (or all weights are zero) the scale is nan.

    Raises:
        ValueError: With fewer than 3 points the rotation is not determined.
    """
    if source.shape[-2] < 3:
        raise ValueError(f"a similarity needs at least 3 points, got {source.shape[-2]}")
    if weights is None:
        weights = torch.ones_like(source[..., 0])
    shares = (weights / weights.sum(dim=-1, keepdim=True))[..., None]
    source_mean = (shares * source).sum(dim=-2)
    target_mean = (shares * target).sum(dim=-2)
    centred = source - source_mean[..., None, :]
    weighted = shares * centred
    covariance = (target - target_mean[..., None, :]).mT @ weighted
    rotation, gain = _procrustes(covariance)
    scale = torch.ones_like(gain)
    if with_scale:
        scale = gain / (weighted * centred).sum(dim=(-2, -1))
    moved = scale[..., None] * (rotation @ source_mean[..., None])[..., 0]
    return Similarity(scale, rotation, target_mean - moved)


def nearest_rotation(matrix: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Return the proper rotation closest to a matrix in the Frobenius norm."""
    return _procrustes(matrix)[0]


def _procrustes(
    matrix: Float[Tensor, "*batch 3 3"],
) -> tuple[Float[Tensor, "*batch 3 3"], Float[Tensor, "*batch"]]:
    """Return the rotation R that maximises trace(Rᵀ matrix), and that trace."""
    # The decomposition refuses nan; such matrices get nan back.
    finite = matrix.isfinite().all(dim=-1).all(dim=-1)[..., None, None]
    left, values, right = torch.linalg.svd(in_double(matrix.where(finite, 0)))
    signs = torch.ones_like(values)
    signs[..., 2] = torch.where(torch.linalg.det(left @ right) < 0, -1.0, 1.0)
    rotation = (left * signs[..., None, :]) @ right
    gain = (values * signs).sum(dim=-1)
    rotation, gain = rotation.to(matrix), gain.to(matrix)
    return rotation.where(finite, torch.nan), gain.where(finite[..., 0, 0], torch.nan)


def off_mps(tensor: Tensor) -> Tensor:
    """Return a tensor on a device that has float64: on the CPU if it was on MPS."""
    return tensor.cpu() if tensor.device.type == "mps" else tensor


def in_double(tensor: Tensor) -> Tensor:
    """Return a small tensor in float64, on the CPU where its device has no float64."""
    return off_mps(tensor).to(torch.float64)


def cross_matrix(vector: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Return the matrix that multiplies as the cross product with a vector."""
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    rows = (zero, -z, y, z, zero, -x, -y, x, zero)
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def rotation_exp(rotation_vector: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Return the rotation about an axis by the axis' length in radians (Rodrigues)."""
    angle = torch.linalg.vector_norm(rotation_vector, dim=-1)[..., None, None]
    cross = cross_matrix(rotation_vector)
    # torch.sinc is sin(πx)/(πx) and is exact at 0; (1 - cos a)/a² = sinc²(a/2)/2.
    first = torch.sinc(angle / torch.pi)
    second = torch.sinc(angle / (2 * torch.pi)).square() / 2
    identity = torch.eye(3, dtype=cross.dtype, device=cross.device)
    return identity + first * cross + second * (cross @ cross)


def rotation_log(rotation: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3"]:
    """Return axis times angle in radians; the angle lies in [0, pi]."""
    quaternion = quaternion_from_matrix(rotation)
    cosine, sines = quaternion[..., :1], quaternion[..., 1:]
    sine = torch.linalg.vector_norm(sines, dim=-1, keepdim=True)
    # Near the identity angle / sin(angle/2) tends to 2.
    factor = torch.where(sine > 0, 2 * torch.atan2(sine, cosine) / sine, 2.0)
    return factor * sines


def rotation_angle_deg(
    a: Float[Tensor, "*#batch 3 3"], b: Float[Tensor, "*#batch 3 3"]
) -> Float[Tensor, "*batch"]:
    """Return the angle between rotations in degrees.

    Exactly 0 for equal rotations, and accurate at both ends of [0, 180]: small angles come
    from the difference of the matrices (a chord), large ones from sine and cosine.
    """
    chord = torch.linalg.matrix_norm(a - b)
    small = 2 * torch.asin((chord / 8**0.5).clamp(max=1))
    relative = a.mT @ b
    skew = (relative - relative.mT)[..., [2, 0, 1], [1, 2, 0]]
    sine = torch.linalg.vector_norm(skew, dim=-1) / 2
    cosine = (relative.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2
    return torch.rad2deg(torch.where(chord < 2, small, torch.atan2(sine, cosine)))


def agreeing_rotations(
    rotations: Float[Tensor, "rotations 3 3"], *, within_deg: float = 20.0
) -> Bool[Tensor, " rotations"]:
    """Return which rotations are near the one that is nearest to all, as far as others count."""
    apart_deg = rotation_angle_deg(rotations[:, None], rotations[None])
    central = apart_deg.clamp(max=2 * within_deg).sum(dim=1).argmin()
    return apart_deg[central] < within_deg


def similarity_between_poses(
    source: Float[Tensor, "views 4 4"], target: Float[Tensor, "views 4 4"], scale: Float[Tensor, ""]
) -> Similarity:
    """Return the similarity of a known scale between rigid poses, by those that agree how to turn.

    Its rotation is the mean of what they say, its translation their median.
    """
    turns = target[:, :3, :3] @ source[:, :3, :3].mT
    agreeing = agreeing_rotations(turns)
    rotation = nearest_rotation(turns[agreeing].mean(dim=0))
    offsets = target[:, :3, 3] - scale * source[:, :3, 3] @ rotation.mT
    return Similarity(scale, rotation, offsets[agreeing].median(dim=0).values)


def quaternion_from_matrix(rotation: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 4"]:
    """Return the unit quaternion (w, x, y, z) with w >= 0, as COLMAP stores it."""
    xx, yy, zz = rotation.diagonal(dim1=-2, dim2=-1).unbind(-1)
    x, y, z = (rotation - rotation.mT)[..., [2, 0, 1], [1, 2, 0]].unbind(-1)
    xy, xz, yz = (rotation + rotation.mT)[..., [0, 0, 1], [1, 2, 2]].unbind(-1)
    # Row i is 4 q_i q; the row of the largest component loses no digits (Shepperd, 1978).
    rows = torch.stack(
        (
            torch.stack((1 + xx + yy + zz, x, y, z), dim=-1),
            torch.stack((x, 1 + xx - yy - zz, xy, xz), dim=-1),
            torch.stack((y, xy, 1 - xx + yy - zz, yz), dim=-1),
            torch.stack((z, xz, yz, 1 - xx - yy + zz), dim=-1),
        ),
        dim=-2,
    )
    largest = rows.diagonal(dim1=-2, dim2=-1).argmax(dim=-1)
    row = rows.gather(-2, largest[..., None, None].expand(*largest.shape, 1, 4))[..., 0, :]
    quaternion = row / torch.linalg.vector_norm(row, dim=-1, keepdim=True)
    return torch.where(quaternion[..., :1] < 0, -quaternion, quaternion)


def matrix_from_quaternion(quaternion: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 3 3"]:
    """Return the rotation of a quaternion (w, x, y, z) of any length but zero."""
    unit = quaternion / torch.linalg.vector_norm(quaternion, dim=-1, keepdim=True)
    cross = cross_matrix(unit[..., 1:])
    identity = torch.eye(3, dtype=unit.dtype, device=unit.device)
    return identity + 2 * unit[..., :1, None] * cross + 2 * (cross @ cross)


def triangle_frame(corners: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Return an orthonormal frame (in columns) that turns with a triangle; nan without area."""
    edge = corners[..., 1, :] - corners[..., 0, :]
    normal = torch.linalg.cross(edge, corners[..., 2, :] - corners[..., 0, :])
    x = edge / torch.linalg.vector_norm(edge, dim=-1, keepdim=True)
    z = normal / torch.linalg.vector_norm(normal, dim=-1, keepdim=True)
    return torch.stack((x, torch.linalg.cross(z, x), z), dim=-1)
