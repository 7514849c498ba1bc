"""Files made to do harm: code in pickles, paths that lead out, sizes beyond all measure."""

import io
import json
import os
import pickle
import struct
import subprocess
import sys
import textwrap
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fast3r.camera_files.colmap_reader import read_model
from fast3r.cli.many.manifest import read_scenes
from fast3r.cli.options.reconstruct import SceneOptions
from fast3r.documents import read_json, read_yaml
from fast3r.models.checkpoints import load_model
from fast3r.models.weight_files import read_pickle
from fast3r.scene.numpy_files import read_arrays
from fast3r.scene.priors.binding import bind
from fast3r.scene.priors.camera_files import read_known_cameras
from fast3r.scene.priors.reading import read_priors
from fast3r.scene.priors.types import DepthMaps, Priors
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.report import remove_results
from fast3r.training.compose import compose
from fast3r.views.load import load_views
from tests.fuzz.readers import READERS, form, receive_form, scene


class _Code:
    """Unpickled by a reader that runs code, it leaves a file behind."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.canary),)


def _pickled(value: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(value))


def _object_array(value: object, path: Path) -> None:
    np.save(path, np.array([value], dtype=object), allow_pickle=True)


def _object_archive(value: object, path: Path) -> None:
    np.savez(path, scene=np.array([value], dtype=object), depth=np.array([value], dtype=object))


# --- code ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.ckpt", "a.pt", "a.pth"])
@pytest.mark.parametrize("write", [torch.save, _pickled])
@pytest.mark.parametrize("inside", [False, True])
def test_code_in_a_checkpoint_is_refused_and_never_run(
    write: Callable, name: str, inside: bool, tmp_path: Path
) -> None:
    code = _Code(tmp_path / "canary")
    write({"state_dict": {"weight": code}} if inside else code, tmp_path / name)
    for read in (load_model, read_pickle):
        with pytest.raises(ValueError, match=rf"{name} (holds|is not a)"):
            read(tmp_path / name)
    assert not code.canary.exists()


def test_code_under_the_name_of_safetensors_is_refused_and_never_run(tmp_path: Path) -> None:
    torch.save(_Code(tmp_path / "canary"), tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=r"a\.safetensors is not a complete safetensors file"):
        load_model(tmp_path / "a.safetensors")
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("write", [_object_archive, _pickled, torch.save, _object_array])
def test_code_in_a_scene_is_refused_and_never_run(write: Callable, tmp_path: Path) -> None:
    with (tmp_path / "a.npz").open("wb") as file:
        write(_Code(tmp_path / "canary"), Path(file.name))
    with pytest.raises(ValueError, match=r"a\.npz is (damaged|an \.npz file, but not)"):
        Reconstruction.load(tmp_path / "a.npz")
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize(("write", "ending"), [(_object_array, "npy"), (_object_archive, "npz")])
def test_code_in_a_depth_map_is_refused_and_never_run(
    write: Callable, ending: str, tmp_path: Path
) -> None:
    path = tmp_path / f"{scene().views[0].name}.{ending}"
    path.parent.mkdir()
    write(_Code(tmp_path / "canary"), path)
    with pytest.raises(ValueError, match=rf"0\.jpg\.{ending} (cannot be read|is damaged)"):
        bind(Priors(depth=DepthMaps(tmp_path)), scene().views[:1])
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize(
    "code",
    [
        "!!python/object/apply:os.mkdir [{}]",
        "gps: !!python/object/apply:os.mkdir [{}]",
        "!!python/object/new:os.mkdir [{}]",
        "gps: !!python/name:os.mkdir",
    ],
)
def test_code_in_yaml_is_refused_and_never_run(code: str, tmp_path: Path) -> None:
    path, canary = tmp_path / "a.yaml", tmp_path / "canary"
    path.write_text(code.format(canary))
    with pytest.raises(ValueError, match=r"a\.yaml cannot be read as YAML"):
        read_priors(path)
    with pytest.raises(ValueError, match=r"a\.yaml cannot be read as YAML"):
        compose([f"preset={path}"])
    assert not canary.exists()


# --- paths -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../out", "/etc/x", "a/../../b", "..\\..\\b", "", ".", "a\0b"])
def test_a_scene_of_a_batch_stays_inside_the_output(name: str, tmp_path: Path) -> None:
    manifest = tmp_path / "a.jsonl"
    manifest.write_text(json.dumps({"photos": "hall", "name": name}))
    with pytest.raises(ValueError, match=r"a\.jsonl line 1: a scene's name becomes a folder"):
        read_scenes(manifest, tmp_path / "out", SceneOptions())


@pytest.mark.parametrize(
    "name",
    ["../../x.jpg", "/etc/passwd", "C:\\x.jpg", "..", "a/../../x", "\0.jpg", "x" * 5000, "é\n.jpg"],
)
def test_an_uploaded_file_stays_inside_its_folder(name: str, tmp_path: Path) -> None:
    (tmp_path / "form").write_bytes(form({f'name="files"; filename="{name}"': b"photo"}))
    try:
        uploads = receive_form(tmp_path / "form")
    except ValueError:  # The form itself is none.
        return
    assert isinstance(uploads, list)
    assert (tmp_path / "in" / "job" / uploads[0].file).read_bytes() == b"photo"
    assert "/" not in uploads[0].name
    assert "\n" not in uploads[0].name


@pytest.mark.parametrize("files", ['["../keep", "/keep", "a\\u0000b", 3]', "7", "[" * 100_000])
def test_a_report_that_was_tampered_with_removes_nothing_outside(
    files: str, tmp_path: Path
) -> None:
    (tmp_path / "keep").touch()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report.json").write_text(f'{{"files": {files}}}')
    remove_results(tmp_path / "out")
    assert (tmp_path / "keep").exists()
    assert not (tmp_path / "out" / "report.json").exists()


def test_a_zip_is_no_photo(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.jpg", "w") as archive:
        archive.writestr("../../evil.jpg", b"x")
    with pytest.raises(ValueError, match=r"a\.jpg cannot be used: not an image"):
        load_views(tmp_path / "a.jpg")
    assert not list(tmp_path.parents[1].glob("evil.jpg"))


def test_names_of_arrays_that_lead_out_write_nothing(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for name in ("../evil.npy", "/evil.npy", "evil.npy"):
            content = io.BytesIO()
            np.save(content, np.zeros(3))
            archive.writestr(name, content.getvalue())
    with pytest.raises(ValueError, match="not a scene of fast3r"):
        Reconstruction.load(tmp_path / "a.npz")
    assert {path.name for path in tmp_path.iterdir()} == {"a.npz"}


# --- documents without end -------------------------------------------------------------------

DEEP = "[" * 100_000


def test_json_that_is_nested_too_deeply_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(DEEP)
    for read in (read_json, read_known_cameras, read_priors):
        with pytest.raises(ValueError, match=r"a\.json cannot be read as JSON: maximum recursion"):
            read(tmp_path / "a.json")


def test_yaml_that_is_nested_too_deeply_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("[" * 1200)
    with pytest.raises(ValueError, match=r"a\.yaml cannot be read as YAML: maximum recursion"):
        read_yaml(tmp_path / "a.yaml")


LAUGHS = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30)
)
"""Thirty lines that stand for 9^30 numbers."""


@pytest.mark.parametrize(
    "text",
    [LAUGHS, LAUGHS.replace("[", "{<<: [").replace("]", "]}"), "&a [*a]", "&a {b: {c: *a}}"],
    ids=["lists", "merges", "itself", "inside itself"],
)
def test_yaml_that_stands_for_too_many_values_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"a\.yaml cannot be read as YAML"):
        read_yaml(path)


def test_yaml_may_use_a_value_twice(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: &a {x: 1}\nb: *a\nc: {<<: *a, y: 2}\n")
    document = read_yaml(tmp_path / "a.yaml")
    assert document == {"a": {"x": 1}, "b": {"x": 1}, "c": {"x": 1, "y": 2}}


def test_a_key_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("gps: exif\ngravity: upright\ngps: exif\n")
    (tmp_path / "a.json").write_text('{"gps": "exif", "gps": "exif"}')
    for name in ("a.yaml", "a.json"):
        with pytest.raises(ValueError, match=rf"{name} cannot be read as .*: 'gps' is there twice"):
            read_priors(tmp_path / name)


def test_no_yaml_at_all_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("")
    assert read_yaml(tmp_path / "a.yaml") is None


def test_references_in_a_circle_are_refused(tmp_path: Path) -> None:
    path = READERS["run-config"].write(tmp_path)
    path.write_text(path.read_text().replace("encoder_args.embed_dim}", "decoder_args.depth}"))
    path.write_text(path.read_text().replace("depth: 4", "depth: ${model.net.decoder_args.depth}"))
    with pytest.raises(ValueError, match=r"config\.yaml has references in a circle"):
        READERS["run-config"].read(path)


def test_a_config_of_more_layers_than_tensors_is_refused_at_once(tmp_path: Path) -> None:
    path = READERS["model-config"].write(tmp_path)
    path.write_text(path.read_text().replace('"depth": 4', '"depth": 100000000'))
    with pytest.raises(ValueError, match=r"tensors are too few for 100000001 layers"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    "value", ["1" + "0" * 400, "1e300", "18446744073709551616", "-1", "1e-320"]
)
@pytest.mark.parametrize("entry", ['"mlp_ratio": 4.0', '"width": 16', '"image_size": 32'])
def test_a_config_of_giant_numbers_is_refused(entry: str, value: str, tmp_path: Path) -> None:
    path = READERS["model-config"].write(tmp_path)
    path.write_text(path.read_text().replace(entry, f"{entry.split(':')[0]}: {value}"))
    wanted = r"config\.json: config.* (must be|is too large)|does not fit its config"
    with pytest.raises(ValueError, match=wanted):
        load_model(tmp_path)


def test_a_key_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = READERS["run-config"].write(tmp_path)
    path.write_text(
        path.read_text().replace("      depth: 1\n", "      depth: 1\n      7: 1\n      b: 1\n")
    )
    with pytest.raises(ValueError, match=r"encoder_args has the unknown entries \['7', 'b'\]"):
        READERS["run-config"].read(path)


@pytest.mark.parametrize("key", ['""', "'='"])
def test_a_preset_with_an_empty_key_is_refused(key: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(f"preset: smoke\n{key}: 3\n")
    with pytest.raises(ValueError, match="is no override"):
        compose([f"preset={tmp_path / 'a.yaml'}"])


def test_a_giant_number_in_a_batch_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"photos": "a", "fps": 1' + "0" * 400 + "}")
    with pytest.raises(ValueError, match=r"a\.jsonl line 1: fps (is too large|must be)"):
        read_scenes(tmp_path / "a.jsonl", tmp_path / "out", SceneOptions())


# --- numbers that are none -------------------------------------------------------------------


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999", "[1]", '"x"', "null"])
def test_a_pose_that_is_no_matrix_of_numbers_is_refused(value: str, tmp_path: Path) -> None:
    path = READERS["plain-cameras-json"].write(tmp_path)
    document = json.loads(path.read_text())
    document["images"][0]["c2w"][0][0] = "HERE"
    path.write_text(json.dumps(document).replace('"HERE"', value))
    with pytest.raises(ValueError, match=r"cameras\.json is not understood"):
        read_known_cameras(path)


@pytest.mark.parametrize("size", [[1e999, 10], [0, 10], [-3, 4], [float("nan"), 4]])
def test_a_photo_without_a_size_is_refused(size: list[float], tmp_path: Path) -> None:
    entry = {"focal_px": 900, "size": size}
    (tmp_path / "a.json").write_text(json.dumps({"intrinsics": {"a.jpg": entry}}))
    with pytest.raises(ValueError, match=r"a\.json: .*\.size must be width and height in pixels"):
        read_priors(tmp_path / "a.json")


def test_an_integer_beyond_all_floats_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"intrinsics": [{"focal_px": 1' + "0" * 400 + "}]}")
    with pytest.raises(ValueError, match=r"a\.json: intrinsics\[0\]\.focal_px is too large"):
        read_priors(tmp_path / "a.json")


# --- sizes beyond all measure: in a process that may have little memory -----------------------

_LIMITED = """
import resource, sys, warnings
from pathlib import Path
import torch
from fast3r.camera_files.colmap_reader import read_model
from fast3r.models.checkpoints import load_model
from fast3r.scene.priors.reading import read_priors
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.numpy_files import read_arrays
from fast3r.views.load import load_views
load_views(sys.argv[2], size=32, patch=8, workers=1)
pages = int(Path("/proc/self/statm").read_text().split()[0])
limit = pages * resource.getpagesize() + (700 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for line in Path(sys.argv[1]).read_text().splitlines():
    reader, path = line.split(maxsplit=1)
    read = {"scene": Reconstruction.load, "model": load_model, "priors": read_priors,
        "arrays": read_arrays, "colmap": read_model,
        "photo": lambda p: load_views(p, size=32, patch=8, workers=1)}[reader]
    try:
        read(Path(path))
        print("READ", path)
    except (ValueError, OSError) as error:
        named = Path(path).name in str(error) or "of shape" in str(error)
        print("refused" if named else "UNNAMED", path, error)
"""


def _png_bomb(path: Path, side: int) -> None:
    """Write a PNG of one colour, which is tiny whatever its size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(side // 8 + 1)) for _ in range(side)) + packer.flush()
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    content = chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)


def _claim(path: Path, shape: str, kind: str = "<f8") -> None:
    """Write an array file that claims a shape and has a hundred bytes."""
    head = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + bytes(100)
    if path.suffix == ".npy":
        path.write_bytes(content)
        return
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("scene.npy", content)


def _bombs(folder: Path) -> list[tuple[str, Path]]:
    """Return small files that stand for more than a process of 700 MiB can hold."""
    laughs, deep = folder / "laughs.yaml", folder / "deep.yaml"
    laughs.write_text(LAUGHS + "intrinsics: *a29\n")
    deep.write_text("[" * 20_000)
    zeros = folder / "zeros.npz"
    packed = zipfile.ZipFile(zeros, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
    with packed, packed.open("scene.npy", "w") as member:
        for _ in range(900):
            member.write(bytes(1 << 20))
    claims = []
    for name, shape in (
        ("huge.npy", "(1000000000000,)"),
        ("huge.npz", "(1000000000000,)"),
        ("large.npz", "(400000000,)"),
        ("negative.npz", "(-5,)"),
        ("overflow.npz", f"({2**40}, {2**40})"),
    ):
        _claim(folder / name, shape)
        claims.append(("arrays", folder / name))
    _png_bomb(folder / "bomb.png", 16_000)
    tensors = folder / "huge.safetensors"
    head = json.dumps({"a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}})
    tensors.write_bytes(struct.pack("<Q", len(head)) + head.encode() + bytes(64))
    longest = folder / "longest.safetensors"
    longest.write_bytes(struct.pack("<Q", 2**63) + bytes(64))
    model = folder / "colmap"
    model.mkdir()
    (model / "cameras.bin").write_bytes(struct.pack("<Q", 2**64 - 1))
    return [
        *claims,
        ("scene", zeros),
        ("priors", laughs),
        ("priors", deep),
        ("photo", folder / "bomb.png"),
        ("model", tensors),
        ("model", longest),
        ("colmap", model),
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
def test_small_files_that_stand_for_large_ones_are_refused_in_little_memory(
    tmp_path: Path,
) -> None:
    bombs = _bombs(tmp_path)
    Image.new("RGB", (48, 32)).save(tmp_path / "good.png")
    (tmp_path / "list").write_text("\n".join(f"{kind} {path}" for kind, path in bombs))
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(_LIMITED), tmp_path / "list", tmp_path / "good.png"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    lines = [line for line in run.stdout.splitlines() if line.startswith(("READ", "UNN", "refu"))]
    assert [line for line in lines if not line.startswith("refused")] == []
    assert len(lines) == len(bombs)


def test_a_model_whose_count_of_observations_overflows_is_refused(tmp_path: Path) -> None:
    READERS["colmap-images"].write(tmp_path)
    content = bytearray((tmp_path / "images.bin").read_bytes())
    place = content.index(b"0.jpg\0") + 6
    content[place : place + 8] = struct.pack("<Q", 2**63)
    (tmp_path / "images.bin").write_bytes(content)
    with pytest.raises(ValueError, match="holds no COLMAP model that can be read"):
        read_model(tmp_path)


def test_an_honest_archive_of_one_value_is_read(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", depth=np.zeros((2000, 3000), np.float32))
    assert read_arrays(tmp_path / "a.npz")["depth"].shape == (2000, 3000)
