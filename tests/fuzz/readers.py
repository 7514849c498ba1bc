"""Every reader of the package, with a small valid file for it."""

import asyncio
import importlib.util
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import ExifTags, Image, features
from starlette.requests import Request

from benchmarks.simulated_walk import SimulatedNetwork, Walk, walk
from fast3r.camera_files.colmap import read_colmap
from fast3r.cli.many.manifest import read_scenes
from fast3r.cli.options.reconstruct import SceneOptions
from fast3r.export import cameras_json, colmap, transforms_json
from fast3r.models.checkpoints import load_model, save_model
from fast3r.models.config import EncoderConfig, Fast3RConfig, FusionConfig, HeadConfig
from fast3r.models.config_files import write_config
from fast3r.models.fast3r import Fast3R
from fast3r.models.names import PUBLISHED, renamed
from fast3r.scene.archive import write_archive
from fast3r.scene.long import reconstruct_long
from fast3r.scene.priors.binding import bind
from fast3r.scene.priors.camera_files import read_known_cameras
from fast3r.scene.priors.reading import read_priors
from fast3r.scene.priors.types import DepthMaps, Priors
from fast3r.scene.reconstruction import Reconstruction, Scale
from fast3r.serve.settings import Limits
from fast3r.serve.upload import receive_upload
from fast3r.training.compose import compose
from fast3r.views.load import load_views
from tests.scenes import SETS, make_scene
from tests.views.pictures import noise


@dataclass(frozen=True)
class Reader:
    """A way of reading a file, and a file that it reads."""

    write: Callable[[Path], Path]
    """Makes a valid file in an empty folder."""

    read: Callable[[Path], object]
    """Reads that file; with what raises ValueError or OSError, it is refused."""

    text: bool = False
    """Whether the file is text."""

    quick: int = 60
    """Damaged files that are tried in every run of the tests."""

    names_file: bool = True
    """Whether every refusal names the file; else it may name the entry that is wrong."""

    head_bytes: int | None = None
    """Damage is done within the first bytes of so many; None: anywhere."""


@cache
def scene() -> Reconstruction:
    """Return a small scene with all kinds of entries."""
    return make_scene(SETS["mixed"])


@cache
def _tiny() -> Fast3R:
    torch.manual_seed(0)
    encoder = EncoderConfig(16, 1, 2, 8, absolute_position=False)
    return Fast3R(Fast3RConfig(encoder, FusionConfig(16, 4, 2), HeadConfig(8, 8, (8, 8, 8, 8)), 32))


# --- photos ----------------------------------------------------------------------------------


def _photo(ending: str, mode: str = "RGB", **options: object) -> Reader:
    def write(folder: Path) -> Path:
        if ending == "heic":
            import pillow_heif

            pillow_heif.register_heif_opener()
        noise(32, 48).convert(mode).save(folder / f"a.{ending}", **options)
        return folder / f"a.{ending}"

    return Reader(write, _load_photo)


def _load_photo(path: Path) -> object:
    return load_views([path], size=32, patch=8, workers=1)


def _exif_photo(folder: Path) -> Path:
    exif = Image.Exif()
    exif.update({ExifTags.Base.Orientation: 6, ExifTags.Base.Make: "Maker"})
    exif.get_ifd(ExifTags.IFD.Exif).update(
        {
            ExifTags.Base.FocalLengthIn35mmFilm: 27,
            ExifTags.Base.FocalLength: 4.2,
            ExifTags.Base.FocalPlaneXResolution: 3000.0,
            ExifTags.Base.DateTimeOriginal: "2024:02:29 10:11:12",
            ExifTags.Base.OffsetTimeOriginal: "+02:00",
            ExifTags.Base.SubsecTimeOriginal: "25",
        }
    )
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(
        {
            ExifTags.GPS.GPSLatitudeRef: "N",
            ExifTags.GPS.GPSLatitude: (47.0, 6.0, 3.0),
            ExifTags.GPS.GPSLongitudeRef: "E",
            ExifTags.GPS.GPSLongitude: (8.0, 6.0, 3.0),
            ExifTags.GPS.GPSAltitude: 540.0,
        }
    )
    noise(32, 48).save(folder / "a.jpg", exif=exif)
    return folder / "a.jpg"


def _mask(folder: Path) -> Path:
    noise(32, 48).save(folder / "a.jpg")
    (folder / "masks").mkdir()
    Image.fromarray(np.tri(32, 48, dtype=bool)).save(folder / "masks" / "a.png")
    return folder / "masks" / "a.png"


def _load_mask(path: Path) -> object:
    photo = path.parents[1] / "a.jpg"
    return load_views([photo], masks=path.parent, size=32, patch=8, workers=1)


def _video(folder: Path) -> Path:
    import av

    with av.open(str(folder / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for step in range(6):
            picture = noise(48, 96).crop((step, 0, step + 64, 48))
            container.mux(stream.encode(av.VideoFrame.from_image(picture)))
        container.mux(stream.encode())
    return folder / "a.mp4"


def _load_video(path: Path) -> object:
    return load_views(path, size=32, patch=8, num_frames=3)


# --- cameras and scenes ----------------------------------------------------------------------


def _colmap(write_model: Callable[..., None], damaged: str) -> Reader:
    def write(folder: Path) -> Path:
        write_model(_named_for_text(), folder)
        return folder / damaged

    return Reader(write, lambda path: read_colmap(path.parent), text=damaged.endswith("txt"))


def _named_for_text() -> Reconstruction:
    """Return a scene whose names have no space, as COLMAP's text wants them."""
    plain = make_scene(("landscape", "portrait"))
    views = [replace(view, name=f"{i}.jpg") for i, view in enumerate(plain.views)]
    return replace(plain, views=views)


def _cameras_json(folder: Path) -> Path:
    cameras_json.write(scene(), folder / "cameras.json")
    return folder / "cameras.json"


def _plain_cameras_json(folder: Path) -> Path:
    image = {"file": "a.jpg", "K": np.diag([100, 100, 1]).tolist(), "c2w": np.eye(4).tolist()}
    return _json(folder / "cameras.json", {"images": [image]})


def _transforms_json(folder: Path) -> Path:
    transforms_json.write(scene(), folder / "transforms.json")
    return folder / "transforms.json"


def _archive(folder: Path) -> Path:
    kept = make_scene(("landscape",))
    write_archive(
        Reconstruction(kept.views, kept.cameras, kept.depth, kept.confidence, [None], [], Scale()),
        folder / "a.npz",
    )
    return folder / "a.npz"


# --- priors ----------------------------------------------------------------------------------

_PRIORS = {
    "intrinsics": {
        "a/*": {"focal_px": 3200, "principal_point": [2000.5, 1500], "size": [4000, 3000]},
        "b.jpg": {"model": "RADIAL", "parameters": [900, 640, 480, 0.1, 0.0], "size": [1280, 960]},
    },
    "poses": {"views": [np.eye(4).tolist()], "metric": True, "rotation_sigma_deg": 2},
    "gps": {"views": {"a.jpg": [47.1, 8.2]}, "horizontal_sigma_m": 3},
    "gravity": {"views": [[0, 1, 0]], "sigma_deg": 2},
    "rigs": [{"cameras": {"l": np.eye(4).tolist()}, "frames": [{"l": "a.jpg"}], "metric": False}],
    "distances": [{"metres": 2, "between": ["a.jpg", {"view": "b.jpg", "pixel": [1, 2]}]}],
    "depth": {"folder": "depth", "png_unit_m": 0.001},
}


def _json(path: Path, document: object) -> Path:
    path.write_text(json.dumps(document, indent=1), encoding="utf-8")
    return path


def _priors_yaml(folder: Path) -> Path:
    import yaml

    (folder / "a.yaml").write_text(yaml.safe_dump(_PRIORS, sort_keys=False), encoding="utf-8")
    return folder / "a.yaml"


def _depth(ending: str) -> Reader:
    def write(folder: Path) -> Path:
        view, depth = scene().views[0], scene().depth[0].numpy()
        path = folder / f"{view.name}.{ending}"
        path.parent.mkdir()
        if ending == "npy":
            np.save(path, depth)
        elif ending == "npz":
            np.savez_compressed(path, depth=depth)
        else:
            Image.fromarray((depth * 1000).astype(np.uint16)).save(path)
        return path

    def read(path: Path) -> object:
        known = DepthMaps(path.parents[1])
        return bind(Priors(depth=known), scene().views[:1])

    return Reader(write, read)


# --- weights and their configs ---------------------------------------------------------------


def _safetensors(folder: Path) -> Path:
    save_model(_tiny(), folder / "a.safetensors")
    return folder / "a.safetensors"


def _published_tensors() -> dict[str, torch.Tensor]:
    state = _tiny().state_dict()
    return {f"net.{renamed(n, PUBLISHED, to_ours=False) or n}": t for n, t in state.items()}


def _checkpoint(*, zipped: bool) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / "config.json").write_text(write_config(_tiny().config), encoding="utf-8")
        torch.save(
            {"state_dict": _published_tensors(), "epoch": 3},
            folder / "a.ckpt",
            _use_new_zipfile_serialization=zipped,
        )
        return folder / "a.ckpt"

    return write


def _model_config(folder: Path) -> Path:
    save_model(_tiny(), folder)
    return folder / "config.json"


def _run_config(folder: Path) -> Path:
    """Write a checkpoint and the config of the run that made it, and return the config."""
    import yaml

    _checkpoint(zipped=True)(folder)
    parts = {
        "encoder_args": {
            "encoder_type": "croco",
            "img_size": 32,
            "patch_size": 8,
            "embed_dim": 16,
            "num_heads": 2,
            "depth": 1,
            "mlp_ratio": 4,
            "pos_embed": "RoPE100",
        },
        "decoder_args": {
            "decoder_type": "fast3r",
            "enc_embed_dim": "${model.net.encoder_args.embed_dim}",
            "embed_dim": 16,
            "num_heads": 2,
            "depth": 4,
            "mlp_ratio": 4.0,
            "qkv_bias": True,
            "random_image_idx_embedding": True,
        },
        "head_args": {
            "head_type": "dpt",
            "output_mode": "pts3d",
            "depth_mode": ["exp", "-inf", "inf"],
            "conf_mode": ["exp", 1, "inf"],
            "patch_size": 8,
            "with_local_head": True,
            "dpt_feature_dim": 8,
            "dpt_last_dim": 8,
            "dpt_layer_dims": [8, 8, 8, 8],
        },
    }
    (folder / ".hydra").mkdir()
    document = yaml.safe_dump({"model": {"net": parts}})
    (folder / ".hydra" / "config.yaml").write_text(document, encoding="utf-8")
    return folder / ".hydra" / "config.yaml"


def _load_run(path: Path) -> object:
    return load_model(path.parents[1] / "a.ckpt", device="cpu")


def _load_model(path: Path) -> object:
    whole = path.parent if path.name == "config.json" else path
    return load_model(whole, device="cpu")


def _preset(folder: Path) -> Path:
    import yaml

    preset = {
        "preset": "smoke",
        "steps": 100,
        "optimizer": {"learning_rate": 1e-4},
        "model": {"encoder": {"width": 64}},
        "data": {"rendered": {"tokens_per_step": 2048}},
    }
    (folder / "a.yaml").write_text(yaml.safe_dump(preset, sort_keys=False), encoding="utf-8")
    return folder / "a.yaml"


# --- scenes of a batch, uploads --------------------------------------------------------------


def _manifest(folder: Path) -> Path:
    rows = [
        {"photos": "hall/", "name": "hall", "size": 256, "format": ["ply"], "seed": 3},
        {"photos": ["a.jpg", "b.jpg"], "name": "pair", "min_conf_percentile": 20.0},
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "a.jsonl").write_text(lines, encoding="utf-8")
    return folder / "a.jsonl"


def _read_manifest(path: Path) -> object:
    output = path.parent / "out"
    scenes = read_scenes(path, output, SceneOptions())
    for planned in scenes:
        assert output.resolve() in planned.output.resolve().parents
    return scenes


BOUNDARY = "boundary-of-parts"


def _form(folder: Path) -> Path:
    parts = {
        'name="files"; filename="a b.jpg"': b"first photo",
        'name="files"; filename="../../etc/x.png"': b"second photo",
        'name="seed"': b"7",
        'name="formats"': b"ply,colmap",
    }
    (folder / "form").write_bytes(form(parts))
    return folder / "form"


def form(parts: Mapping[str, bytes]) -> bytes:
    """Return the body of a multipart form, of parts by their disposition."""
    body = b""
    for disposition, content in parts.items():
        head = f"--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n"
        body += head.encode() + content + b"\r\n"
    return body + f"--{BOUNDARY}--\r\n".encode()


def receive_form(path: Path) -> object:
    """Take a form in, as the service does; refusals are ValueErrors that name the file."""
    from fast3r.serve.refusals import Refusal

    shutil.rmtree(path.parent / "in", ignore_errors=True)
    folder = path.parent / "in" / "job"
    folder.mkdir(parents=True)
    messages = [{"type": "http.request", "body": path.read_bytes(), "more_body": False}]

    async def receive() -> dict:
        return messages.pop()

    kind = f"multipart/form-data; boundary={BOUNDARY}".encode()
    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", kind)], "state": {}}
    limits = Limits(views=10, upload_bytes=100_000)
    try:
        uploads, _, _ = asyncio.run(receive_upload(Request(scope, receive), folder, limits))
    except Refusal as refusal:
        raise ValueError(f"{path.name}: {refusal}") from refusal
    assert {p.parent for p in (path.parent / "in").rglob("*") if p.is_file()} <= {folder}
    return uploads


# --- runs in chunks --------------------------------------------------------------------------


@cache
def _walk() -> Walk:
    return walk(8)


def _go_on(folder: Path) -> object:
    """Make a scene in chunks, or go on with what there is of it."""
    network = SimulatedNetwork(_walk())
    return reconstruct_long(_walk().views, network, chunk_views=5, overlap=2, folder=folder)


def _long_run(damaged: str, *, text: bool = False, quick: int = 20) -> Reader:
    def write(folder: Path) -> Path:
        _go_on(folder / "chunks")
        return folder / "chunks" / damaged

    return Reader(write, lambda path: _go_on(path.parent), text=text, quick=quick)


# --- the table -------------------------------------------------------------------------------

READERS: dict[str, Reader] = {
    "jpeg": _photo("jpg"),
    "progressive-jpeg": _photo("jpeg", progressive=True),
    "png": _photo("png"),
    "png-16-bit": _photo("png", "I;16"),
    "png-palette": _photo("png", "P", transparency=3),
    "webp": _photo("webp"),
    "tiff": _photo("tif", compression="tiff_deflate"),
    "gif": _photo("gif"),
    "bmp": _photo("bmp"),
    "ppm": _photo("ppm"),
    "jpeg-2000": _photo("jp2"),
    "exif": Reader(_exif_photo, _load_photo, head_bytes=500, quick=150),
    "mask": Reader(_mask, _load_mask),
    "cameras-json": Reader(_cameras_json, read_known_cameras, text=True, quick=150),
    "plain-cameras-json": Reader(_plain_cameras_json, read_known_cameras, text=True),
    "transforms-json": Reader(_transforms_json, read_known_cameras, text=True, quick=150),
    "colmap-cameras": _colmap(colmap.write, "cameras.bin"),
    "colmap-images": _colmap(colmap.write, "images.bin"),
    "colmap-points": _colmap(colmap.write, "points3D.bin"),
    "colmap-cameras-text": _colmap(colmap.write_as_text, "cameras.txt"),
    "colmap-images-text": _colmap(colmap.write_as_text, "images.txt"),
    "colmap-points-text": _colmap(colmap.write_as_text, "points3D.txt"),
    "scene-npz": Reader(_archive, Reconstruction.load),
    "priors-json": Reader(
        lambda folder: _json(folder / "a.json", _PRIORS), read_priors, text=True, quick=150
    ),
    "priors-yaml": Reader(_priors_yaml, read_priors, text=True, quick=80),
    "depth-npy": _depth("npy"),
    "depth-npz": _depth("npz"),
    "depth-png": _depth("png"),
    "safetensors": Reader(_safetensors, _load_model, head_bytes=9000, quick=40),
    "checkpoint": Reader(_checkpoint(zipped=True), _load_model, quick=30),
    "old-checkpoint": Reader(_checkpoint(zipped=False), _load_model, head_bytes=4000, quick=30),
    "model-config": Reader(_model_config, _load_model, text=True, quick=40),
    "run-config": Reader(_run_config, _load_run, text=True, quick=30),
    "training-preset": Reader(
        _preset,
        lambda path: compose([f"preset={path}"]),
        text=True,
        quick=12,
        names_file=False,
    ),
    "batch-manifest": Reader(_manifest, _read_manifest, text=True, quick=150, names_file=False),
    "long-manifest": _long_run("manifest.json", text=True, quick=150),
    "long-descriptors": _long_run("descriptors.npz"),
    "long-focals": _long_run("focals.npz"),
    "long-chunk": _long_run("chunk-00001.npz"),
    "upload": Reader(_form, receive_form, text=True, quick=60),
}
if features.check("avif"):
    READERS["avif"] = _photo("avif")
if importlib.util.find_spec("pillow_heif"):
    READERS["heic"] = _photo("heic")
if importlib.util.find_spec("av"):
    READERS["video"] = Reader(_video, _load_video, quick=15)
