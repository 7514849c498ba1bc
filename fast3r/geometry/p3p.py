"""Camera pose from three points (P3P), batched.

The distances to the points lie on two conics; a degenerate conic of their pencil splits into two
lines, and each line meets a conic in two points (Persson and Nordberg, "Lambda Twist", 2018;
Ding et al., "Revisiting the P3P Problem", 2023). The split follows Richter-Gebert,
"Perspectives on Projective Geometry", section 11.1.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.geometry.transforms import cross_matrix, triangle_frame

_PAIRS = ([0, 0, 1], [1, 2, 2])


def solve_p3p(
    points: Float[Tensor, "*batch 3 3"], rays: Float[Tensor, "*batch 3 3"]
) -> Float[Tensor, "*batch 4 3 4"]:
    """Return up to four camera_from_world poses that put three points on their rays.

    Args:
        points: World points, one per row. Best in float64: the roots lose half of the digits.
        rays: Their directions in the camera frame, of any positive length.

    Returns:
        [R | t] of the four candidates. A candidate that does not exist (complex roots, points
        behind the camera, points on one line) is nan or a pose that misses the rays.
    """
    rays = rays / torch.linalg.vector_norm(rays, dim=-1, keepdim=True)
    forms = _distance_forms(rays)
    first, second = _PAIRS
    sides = (points[..., first, :] - points[..., second, :]).square().sum(dim=-1)
    # Distances d satisfy d·F_k·d = side_k for three pairs k. Dividing by the last pair leaves two
    # equations without the unit of length.
    last = sides[..., 2, None, None]
    conics = last[..., None] * forms[..., :2, :, :] - (
        sides[..., :2, None, None] * forms[..., 2:, :, :]
    )
    lines = _split_into_lines(_degenerate_conic(conics))
    distances = _meet(lines, conics[..., :1, :, :]).flatten(-3, -2)
    squared_length = sides.sum(dim=-1)[..., None] / _apply(forms.sum(dim=-3), distances)
    distances = distances * (squared_length.sqrt() * distances.sum(dim=-1).sign())[..., None]
    distances = distances.where((distances > 0).all(dim=-1, keepdim=True), torch.nan)
    return _pose_between_triangles(
        points[..., None, :, :], distances[..., None] * rays[..., None, :, :]
    )


def _distance_forms(rays: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3 3 3"]:
    """Return, per pair of rays, the form that turns distances into a squared side (cosine law)."""
    first, second = _PAIRS
    cosines = (rays[..., first, :] * rays[..., second, :]).sum(dim=-1)
    forms = rays.new_zeros((*rays.shape[:-2], 3, 3, 3))
    for pair, (i, j) in enumerate(zip(first, second, strict=True)):
        forms[..., pair, i, i] = 1
        forms[..., pair, j, j] = 1
        forms[..., pair, i, j] = -cosines[..., pair]
        forms[..., pair, j, i] = -cosines[..., pair]
    return forms


def _degenerate_conic(conics: Float[Tensor, "*batch 2 3 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Return a singular member A + root * B of the pencil of two symmetric conics."""
    a, b = conics.unbind(dim=-3)
    cofactors_a, cofactors_b = _cofactors(a), _cofactors(b)
    root = _real_root_of_cubic(
        (b[..., 0, :] * cofactors_b[..., 0, :]).sum(dim=-1),
        (a * cofactors_b).sum(dim=(-2, -1)),
        (b * cofactors_a).sum(dim=(-2, -1)),
        (a[..., 0, :] * cofactors_a[..., 0, :]).sum(dim=-1),
    )
    return a + root[..., None, None] * b


def _cofactors(matrix: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3 3"]:
    return torch.linalg.cross(matrix[..., [1, 2, 0], :], matrix[..., [2, 0, 1], :])


def _real_root_of_cubic(
    c3: Float[Tensor, "*batch"],
    c2: Float[Tensor, "*batch"],
    c1: Float[Tensor, "*batch"],
    c0: Float[Tensor, "*batch"],
) -> Float[Tensor, "*batch"]:
    """Return one real root of c3 x³ + c2 x² + c1 x + c0."""
    c2, c1, c0 = c2 / c3, c1 / c3, c0 / c3
    # Depressed cubic y³ + 3 p y + 2 q with x = y - c2/3: Cardano, or Viète for three real roots.
    p = c1 / 3 - (c2 / 3).square()
    q = (c2 / 3) ** 3 - c1 * c2 / 6 + c0 / 2
    discriminant = q.square() + p**3
    outer = -q - q.sign() * discriminant.clamp(min=0).sqrt()
    u = outer.sign() * outer.abs() ** (1 / 3)
    single = u - p / torch.where(u == 0, 1, u)
    amplitude = (-p).clamp(min=0).sqrt()
    cosine = (-q / torch.where(amplitude == 0, 1, amplitude) ** 3).clamp(-1, 1)
    triple = 2 * amplitude * torch.cos(torch.acos(cosine) / 3)
    root = torch.where(discriminant > 0, single, triple) - c2 / 3
    for _ in range(2):
        value = ((root + c2) * root + c1) * root + c0
        slope = (3 * root + 2 * c2) * root + c1
        root = root - torch.where(slope == 0, 0, value / slope)
    return root


def _split_into_lines(conic: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 2 3"]:
    """Return the two lines g, h of a singular conic: g hᵀ + h gᵀ up to scale."""
    # The adjugate is -p pᵀ, where p is the point in which the lines meet.
    adjugate = -_cofactors(conic)
    diagonal = adjugate.diagonal(dim1=-2, dim2=-1)
    column = diagonal.argmax(dim=-1, keepdim=True)
    crossing = adjugate.gather(-2, column[..., None].expand(*column.shape, 3))[..., 0, :]
    crossing = crossing / diagonal.gather(-1, column).sqrt()
    # Adding the cross matrix of p leaves a matrix of rank one, 2 g hᵀ.
    outer = conic + cross_matrix(crossing)
    largest = outer.flatten(-2).abs().argmax(dim=-1)[..., None, None]
    shape = (*largest.shape[:-1], 3)
    row = outer.gather(-2, (largest // 3).expand(*shape))
    column = outer.mT.gather(-2, (largest % 3).expand(*shape))
    return torch.cat((row, column), dim=-2)


def _meet(
    lines: Float[Tensor, "*batch 2 3"], conic: Float[Tensor, "*batch 1 3 3"]
) -> Float[Tensor, "*batch 2 2 3"]:
    """Return the two homogeneous points in which each line meets a conic."""
    # Two points u, v of the line; crossing with the axis of its least coefficient is stable.
    axis = torch.nn.functional.one_hot(lines.abs().argmin(dim=-1), 3).to(lines.dtype)
    u = torch.linalg.cross(lines, axis)
    u = u / torch.linalg.vector_norm(u, dim=-1, keepdim=True)
    v = torch.linalg.cross(lines, u)
    v = v / torch.linalg.vector_norm(v, dim=-1, keepdim=True)
    conic_u = (conic @ u[..., None])[..., 0]
    conic_v = (conic @ v[..., None])[..., 0]
    a, b, c = (u * conic_u).sum(-1), (u * conic_v).sum(-1), (v * conic_v).sum(-1)
    # a s² + 2 b s t + c t² = 0 for the point s u + t v, without cancellation.
    half = -(b + torch.where(b < 0, -1, 1) * (b.square() - a * c).sqrt())
    near = half[..., None] * u + a[..., None] * v
    far = c[..., None] * u + half[..., None] * v
    return torch.stack((near, far), dim=-2)


def _apply(
    form: Float[Tensor, "*batch 3 3"], vectors: Float[Tensor, "*batch 4 3"]
) -> Float[Tensor, "*batch 4"]:
    return ((vectors @ form) * vectors).sum(dim=-1)


def _pose_between_triangles(
    source: Float[Tensor, "*#batch 3 3"], target: Float[Tensor, "*#batch 3 3"]
) -> Float[Tensor, "*batch 3 4"]:
    """Return [R | t] that moves one triangle onto a congruent one."""
    rotation = triangle_frame(target) @ triangle_frame(source).mT
    translation = target.mean(dim=-2) - (rotation @ source.mean(dim=-2)[..., None])[..., 0]
    return torch.cat((rotation, translation[..., None]), dim=-1)
