"""What masks do: for the rest of a scene in which something moves, and how well they are found.

python -m benchmarks.masks
python -m benchmarks.masks --scenes 0 --picture docs/images/masks.jpg
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from torch import Tensor

from fast3r.data.procedural.captures import draw_captures
from fast3r.data.procedural.config import ProceduralConfig
from fast3r.data.procedural.dice import Dice
from fast3r.data.procedural.generate import choose_cameras
from fast3r.data.procedural.photography import develop
from fast3r.data.procedural.primitives import FAR, trace
from fast3r.data.procedural.random_scene import random_scene
from fast3r.data.procedural.render import pixel_centres, pixel_rays, render
from fast3r.data.procedural.scene import FIRST_BALL, FIRST_POLYTOPE, FIRST_ROCK, Scene
from fast3r.data.procedural.textures import load_bank
from fast3r.data.procedural.trajectories import draw_candidates
from fast3r.geometry.transforms import rotation_exp
from fast3r.models.checkpoints import load_model
from fast3r.models.fast3r import Fast3R
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.refinement.refine import refine
from fast3r.scene.run import reconstruct
from fast3r.views.load import load_views
from fast3r.views.masking.turntable import find_background
from fast3r.views.view import View

_EXAMPLES = Path(__file__).parents[1] / "examples" / "photos"


@dataclass(frozen=True)
class Stage:
    """A procedural scene with cameras."""

    config: ProceduralConfig
    scene: Scene
    intrinsics: Float[Tensor, "1 views 3 3"]
    poses: Float[Tensor, "1 views 4 4"]
    height: int
    width: int


@dataclass(frozen=True)
class Photo:
    """A photo with what is known of each pixel."""

    pixels: UInt8[Tensor, "height width 3"]
    depth: Float[Tensor, "height width"]
    slot: Float[Tensor, "height width"]
    """The shape that is seen; -1 where there is none."""


def a_stage(
    seed: int, views: int, *, height: int = 96, width: int = 128, supersample: int = 2
) -> Stage:
    config = ProceduralConfig(
        indoor_share=0.6,
        outdoor_share=0.0,
        shadows=False,
        augment=False,
        supersample=supersample,
    )
    dice = Dice(seed)
    scene, layout = random_scene(dice, config, load_bank("cpu"), 1)
    size = {"height": height, "width": width}
    usual = draw_captures(Dice(seed), config, layout.kind, scene.has_room, views)
    candidates = draw_candidates(
        dice, config, scene, layout, usual, views=views, difficulty=0.6, **size
    )
    poses = choose_cameras(config, scene, candidates, **size)
    return Stage(config, scene, candidates.intrinsics, poses, **size)


def photograph(stage: Stage, view: int, scene: Scene) -> Photo:
    """Return what one camera of a stage sees of a scene, exposed as for the stage's own."""
    bank, which = load_bank("cpu"), slice(view, view + 1)
    cameras = stage.intrinsics[:, which], stage.poses[:, which]
    size = {"height": stage.height, "width": stage.width}
    linear, _, _ = render(stage.config, scene, bank, *cameras, **size)
    # The same exposure whatever is in front: that of a small copy of the stage's own photo.
    small = cameras[0] / torch.tensor([8.0, 8.0, 1.0])[:, None]
    wanted, _, _ = render(
        stage.config,
        stage.scene,
        bank,
        small,
        cameras[1],
        height=size["height"] // 8,
        width=size["width"] // 8,
    )
    exposure = stage.scene.exposure * linear.clamp(max=2).mean() / wanted.clamp(max=2).mean()
    image = develop(linear, exposure)[0, 0]
    centres = pixel_centres(stage.height, stage.width, per_side=1, device="cpu")
    origin, direction = pixel_rays(*cameras, centres)
    depth, slot = trace(scene, origin.flatten(1, 2), direction.flatten(1, 2))
    slot = torch.where(depth < FAR, slot, -1)
    shape = (stage.height, stage.width)
    pixels = (image.permute(1, 2, 0) * 255).round().byte()
    return Photo(pixels, depth.view(shape), slot.view(shape).float())


def with_shape(
    scene: Scene, slot: int, centre: Tensor, half_size: Tensor, rotation: Tensor
) -> Scene:
    """Return a scene in which one of the shapes is somewhere else."""
    affine = scene.local_from_world.clone()
    affine[0, slot, :, :3] = rotation.mT / half_size[:, None]
    affine[0, slot, :, 3] = -affine[0, slot, :, :3] @ centre
    centres, sizes = scene.centre.clone(), scene.half_size.clone()
    centres[0, slot], sizes[0, slot] = centre, half_size
    return replace(scene, local_from_world=affine, centre=centres, half_size=sizes)


def without_shapes(scene: Scene, slots: list[int]) -> Scene:
    for slot in slots:
        far = torch.tensor([0.0, 0.0, -1e4])
        scene = with_shape(scene, slot, far, torch.full((3,), 0.1), torch.eye(3))
    return scene


_INTRUDER = FIRST_BALL


def moving_object(seed: int, views: int) -> Iterator[tuple[Photo, Photo]]:
    """Yield photos with and without an object that is somewhere else in each, before the rest."""
    stage = a_stage(seed, views)
    empty = without_shapes(stage.scene, [_INTRUDER])
    random = torch.Generator().manual_seed(seed)
    for view in range(views):
        plain = photograph(stage, view, empty)
        near = plain.depth.quantile(0.2).item()
        across, down = (torch.rand(2, generator=random) - 0.5).tolist()
        direction = torch.tensor([0.7 * across, 0.4 * down, 1.0]) * 0.6 * near
        pose = stage.poses[0, view]
        centre = pose[:3, :3] @ direction + pose[:3, 3]
        size = 0.6 * near * torch.tensor([0.16, 0.16, 0.22])
        turn = rotation_exp(3 * torch.rand(3, generator=random))
        intruded = with_shape(empty, _INTRUDER, centre, size, turn)
        yield photograph(stage, view, intruded), plain


def as_view(pixels: Tensor, name: str, mask: Tensor | None) -> View:
    height, width = pixels.shape[:2]
    return View(pixels, torch.eye(3), name, height, width, mask)


def depth_error(
    model: Fast3R,
    photos: list[Photo],
    masks: list[Tensor] | None,
    truth: list[Photo],
    rest: list[Tensor],
) -> float:
    """Return the mean relative error of the depth of the rest, after one scale for the scene."""
    given = masks or [None] * len(photos)
    views = [
        as_view(p.pixels, f"{i}", m) for i, (p, m) in enumerate(zip(photos, given, strict=True))
    ]
    scene = reconstruct(views, model)
    seen = [scene.valid(i) & r for i, r in enumerate(rest)]
    found = torch.cat([scene.depth[i][s] for i, s in enumerate(seen)])
    true = torch.cat([t.depth[s] for t, s in zip(truth, seen, strict=True)])
    return ((found * (true / found).median() - true).abs() / true).mean().item()


def compare_moving(model: Fast3R, scenes: int, views: int) -> None:
    errors: dict[str, list[float]] = {}
    covered = []
    for seed in range(scenes):
        intruded, plain = zip(*moving_object(1000 + seed, views), strict=True)
        kept = [photo.slot != _INTRUDER for photo in intruded]
        rest = [k & (p.depth < 60) & (p.slot >= 0) for k, p in zip(kept, plain, strict=True)]
        covered += [1 - k.float().mean().item() for k in kept]
        cases = {
            "never there": (plain, None),
            "never there, same masks": (plain, kept),
            "there, masked": (intruded, kept),
            "there, no masks": (intruded, None),
        }
        for name, (photos, masks) in cases.items():
            error = depth_error(model, list(photos), masks, list(plain), rest)
            errors.setdefault(name, []).append(error)
    print(f"{scenes} scenes of {views} photos; the object covers {np.mean(covered):.0%} of each\n")
    print("| an object that moves | error of the depth of the rest | worse than masked |")
    print("|---|---:|---:|")
    masked = np.array(errors["there, masked"])
    for name, found in errors.items():
        print(f"| {name} | {np.mean(found):.4f} | {np.mean(np.array(found) > masked):.0%} |")


_TURNING = [FIRST_POLYTOPE, FIRST_ROCK, FIRST_BALL]


def turntable(
    seed: int, photos: int, *, height: int = 192, width: int = 256, noise: float = 2.0
) -> Iterator[tuple[UInt8[np.ndarray, "height width 3"], Bool[np.ndarray, "height width"]]]:
    """Yield photos of three shapes that turn together before a fixed camera, and where they are."""
    stage = a_stage(seed, 2, height=height, width=width, supersample=1)
    empty = without_shapes(stage.scene, _TURNING)
    pose, random = stage.poses[0, 0], np.random.default_rng(seed)
    near = 0.45 * photograph(stage, 0, empty).depth.quantile(0.3).item()
    middle = pose[:3, :3] @ torch.tensor([0.0, 0.05, 1.0]) * near + pose[:3, 3]
    offsets = torch.tensor([[0.11, 0.0, 0.0], [-0.1, 0.03, 0.02], [0.0, -0.07, 0.13]]) * near
    sizes = torch.tensor([[0.16, 0.1, 0.17], [0.11, 0.12, 0.1], [0.08, 0.08, 0.08]]) * near
    for index in range(photos):
        turn = rotation_exp(torch.tensor([0.0, 0.0, 2 * torch.pi * index / photos]))
        scene = empty
        for slot, offset, size in zip(_TURNING, offsets, sizes, strict=True):
            scene = with_shape(scene, slot, middle + turn @ offset, size, turn)
        photo = photograph(stage, 0, scene)
        inside = torch.isin(photo.slot, torch.tensor(_TURNING, dtype=photo.slot.dtype))
        noisy = photo.pixels.numpy() + random.normal(0, noise, photo.pixels.shape)
        yield noisy.clip(0, 255).round().astype(np.uint8), inside.numpy()


def compare_turntables(scenes: int, photos: int) -> None:
    shared, lost, left = [], [], []
    for seed in range(scenes):
        made = list(turntable(2000 + seed, photos))
        background = find_background([photo for photo, _ in made])
        for photo, inside in made:
            gone = background(photo)
            shared.append((~gone & inside).sum() / (~gone | inside).sum())
            lost.append((gone & inside).sum() / inside.sum())
            left.append((~gone & ~inside).sum() / (~inside).sum())
    print(
        f"\n{scenes} turntables of {photos} photos: intersection over union of the object ", end=""
    )
    print(f"{np.mean(shared):.3f}, {np.mean(lost):.1%} of it lost, ", end="")
    print(f"{np.mean(left):.1%} of the background left")


def compare_cameras(folder: Path) -> None:
    """Refine photos over which a card moves, and compare with the cameras of the clean photos."""
    names = sorted((_EXAMPLES / "brighton_beach").glob("*.jpg"))[:10]
    card = Image.open(sorted((_EXAMPLES / "buddha").glob("*.jpg"))[0]).convert("RGB")
    for name in ("clean", "card", "masks"):
        (folder / name).mkdir()
    for index, path in enumerate(names):
        photo = Image.open(path).convert("RGB")
        width, height = photo.size
        card = card.resize((int(0.55 * width), int(0.55 * height)))
        corner = (int((0.05 + 0.03 * index) * width), int((0.2 + 0.01 * index) * height))
        photo.save(folder / "clean" / f"{path.stem}.png")
        photo.paste(card, corner)
        photo.save(folder / "card" / f"{path.stem}.png")
        mask = Image.new("L", photo.size, 255)
        mask.paste(0, (*corner, corner[0] + card.width, corner[1] + card.height))
        mask.save(folder / "masks" / f"{path.stem}.png")
    model = load_model("small")

    def refined(photos: str, masks: Path | None) -> Reconstruction:
        views = load_views(folder / photos, size=128, patch=model.patch, masks=masks)
        return refine(reconstruct(views, model))

    truth = refined("clean", None)
    print("\n| a card of 30 % of each photo | cameras refined | turned by | moved by |")
    print("|---|---:|---:|---:|")
    for name, photos, masks in (
        ("never there, same masks", "clean", folder / "masks"),
        ("there, masked", "card", folder / "masks"),
        ("there, no masks", "card", None),
    ):
        scene = refined(photos, masks)
        turned, moved = _apart(scene, truth)
        assert scene.refinement is not None
        print(f"| {name} | {scene.refinement.refined} of 10 | {turned:.2f}° | {moved:.2f}° |")


def _apart(scene: Reconstruction, truth: Reconstruction) -> tuple[float, float]:
    """Return how far apart cameras are: medians over pairs of turns and of directions of way."""
    turns, ways = [], []
    for i, j in combinations(truth.registered, 2):
        pairs = [(s.cameras[i], s.cameras[j]) for s in (scene, truth)]
        found, true = (
            a.world_from_camera.double().inverse() @ b.world_from_camera.double()
            for a, b in pairs
            if a is not None and b is not None
        )
        cosine = ((found[:3, :3].mT @ true[:3, :3]).diagonal().sum() - 1) / 2
        turns.append(cosine.clamp(-1, 1).acos().rad2deg().item())
        cosine = torch.cosine_similarity(found[:3, 3], true[:3, 3], dim=0)
        ways.append(cosine.clamp(-1, 1).acos().rad2deg().item())
    return float(np.median(turns)), float(np.median(ways))


def draw(path: Path) -> None:
    """Draw photos with what is found in them."""
    moving = [(p.pixels.numpy(), (p.slot == _INTRUDER).numpy()) for p, _ in moving_object(1000, 3)]
    made = list(turntable(2000, 12))
    background = find_background([photo for photo, _ in made])
    turned = [(photo, background(photo)) for photo, _ in made[:9:3]]
    rows = [np.concatenate([_shown(*one) for one in row], 1) for row in (moving, turned)]
    Image.fromarray(np.concatenate(rows)).save(path, quality=88)


def _shown(photo: np.ndarray, gone: np.ndarray) -> np.ndarray:
    tinted = np.where(gone[..., None], photo * 0.35 + np.array([255, 90, 0]) * 0.65, photo)
    picture = Image.fromarray(tinted.astype(np.uint8)).resize((320, 216), Image.Resampling.LANCZOS)
    return np.asarray(picture)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=24)
    parser.add_argument("--views", type=int, default=6)
    parser.add_argument("--model", default="small")
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    if options.scenes:
        compare_moving(load_model(options.model), options.scenes, options.views)
        compare_turntables(max(options.scenes // 4, 1), 16)
        with TemporaryDirectory() as folder:
            compare_cameras(Path(folder))
    if options.picture:
        draw(options.picture)


if __name__ == "__main__":
    main()
