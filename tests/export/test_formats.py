"""The table of formats, and the choice from it."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import fast3r
from benchmarks.memory import LiveTensors
from fast3r.camera_files.colmap_reader import read_model
from fast3r.export import formats, glb
from fast3r.export.formats import FORMATS, chosen_formats, load, save, write_formats
from fast3r.scene.point_cloud import PointCloud, ViewClouds
from fast3r.scene.reconstruction import Reconstruction
from tests.ply_points import read_points
from tests.scenes import make_scene, without_cameras

NEED_A_CAMERA = [n for n, f in FORMATS.items() if n not in ("cameras", "npz") and f.installed]


@pytest.fixture
def scene() -> Reconstruction:
    return make_scene(("landscape", "portrait"))


def files(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_all_formats_appear_under_their_promised_names(
    scene: Reconstruction, tmp_path: Path
) -> None:
    pytest.importorskip("laspy")
    pytest.importorskip("viser")
    write_formats(scene, tmp_path / "new" / "out", ["all"])
    assert files(tmp_path / "new" / "out") == {
        "cameras.json",
        "scene.ply",
        "scene.glb",
        "scene.laz",
        "mesh.ply",
        "colmap/sparse/0/cameras.bin",
        "colmap/sparse/0/images.bin",
        "colmap/sparse/0/points3D.bin",
        "transforms.json",
        "sparse_pc.ply",
        "depth/day0/IMG_0.npz",
        "depth/day0/IMG_0.png",
        "depth/day1/IMG_1.npz",
        "depth/day1/IMG_1.png",
        "scene.npz",
        "scene.html",
    }


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("a.ply", {"a.ply"}),
        ("a.GLB", {"a.GLB"}),
        ("a.laz", {"a.laz"}),
        ("a.las", {"a.las"}),
        ("a.npz", {"a.npz"}),
        ("cameras.json", {"cameras.json"}),
        ("transforms.json", {"transforms.json", "sparse_pc.ply"}),
        ("model", {f"model/sparse/0/{n}.bin" for n in ("cameras", "images", "points3D")}),
        ("model/sparse/0", {f"model/sparse/0/{n}.bin" for n in ("cameras", "images", "points3D")}),
    ],
)
def test_the_suffix_chooses_the_format(
    name: str, written: set[str], scene: Reconstruction, tmp_path: Path
) -> None:
    if ".la" in name:
        pytest.importorskip("laspy")
    save(scene, tmp_path / name)
    assert files(tmp_path) == written


def test_a_folder_with_a_dot_in_its_name_gets_a_colmap_model(
    scene: Reconstruction, tmp_path: Path
) -> None:
    (tmp_path / "scan.2").mkdir()
    save(scene, tmp_path / "scan.2")
    assert len(read_model(tmp_path / "scan.2/sparse/0").images) == 2


def test_save_and_load_are_at_the_door(scene: Reconstruction, tmp_path: Path) -> None:
    fast3r.save(scene, str(tmp_path / "scene.npz"))
    assert fast3r.load(str(tmp_path / "scene.npz")).views[1].name == scene.views[1].name


def test_an_unknown_suffix_is_refused_with_all_that_is_known(
    scene: Reconstruction, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"how to write a\.obj; known are \.ply, \.glb.*COLMAP"):
        save(scene, tmp_path / "a.obj")
    with pytest.raises(ValueError, match=r"how to write other\.json.*transforms\.json"):
        save(scene, tmp_path / "other.json")


def test_only_npz_can_be_loaded(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"only \.npz holds a whole scene .* got a\.ply"):
        load(tmp_path / "a.ply")


def test_an_unknown_format_is_refused_before_anything_is_written(
    scene: Reconstruction, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="unknown format 'obj'; known are cameras, ply, glb"):
        write_formats(scene, tmp_path, ["ply", "obj"])
    assert files(tmp_path) == set()


def test_all_leaves_out_what_is_not_installed_but_asking_for_it_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(FORMATS, "laz", replace(FORMATS["laz"], module="no_such_module"))
    assert "laz" not in chosen_formats(["all"])
    with pytest.raises(
        ImportError, match=r"laz needs no_such_module: pip install 'fast3r\[export\]'"
    ):
        chosen_formats(["laz"])


def test_formats_are_written_once_in_the_order_of_asking() -> None:
    assert chosen_formats(["npz", "ply", "npz"]) == ["npz", "ply"]
    assert chosen_formats(["npz", "all"])[:2] == ["npz", "cameras"]


def test_one_failure_leaves_no_file(
    scene: Reconstruction, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(scene: Reconstruction, path: Path, **_: object) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setitem(FORMATS, "glb", replace(FORMATS["glb"], write=fails))
    with pytest.raises(OSError, match="No space left"):
        write_formats(scene, tmp_path, ["ply", "glb"])
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_save_leaves_the_old_file(
    scene: Reconstruction, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(scene, tmp_path / "a.glb")
    before = (tmp_path / "a.glb").read_bytes()

    def interrupted(*_: object) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr(glb, "_linear_rgba", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save(scene, tmp_path / "a.glb")
    assert (tmp_path / "a.glb").read_bytes() == before
    assert files(tmp_path) == {"a.glb"}


def test_a_new_colmap_model_removes_the_files_that_contradict_it(
    scene: Reconstruction, tmp_path: Path
) -> None:
    write_formats(scene, tmp_path, ["colmap"])
    (tmp_path / "colmap" / "images").mkdir()
    (tmp_path / "colmap" / "images" / "mine.jpg").write_text("kept")
    write_formats(without_cameras(scene, 0), tmp_path, ["colmap-text"])
    parts = ("cameras", "images", "points3D")
    expected = {f"colmap/sparse/0/{part}.txt" for part in parts} | {"colmap/images/mine.jpg"}
    assert files(tmp_path) == expected
    assert len(read_model(tmp_path / "colmap/sparse/0").images) == 1


def test_both_encodings_of_a_colmap_model_can_be_had_at_once(
    scene: Reconstruction, tmp_path: Path
) -> None:
    write_formats(scene, tmp_path, ["colmap", "colmap-text"])
    assert len(files(tmp_path)) == 6


def test_the_same_points_go_into_every_file(scene: Reconstruction, tmp_path: Path) -> None:
    cloud = scene.point_cloud(max_points=50)
    write_formats(scene, tmp_path, ["ply", "colmap"], cloud=cloud)
    assert read_points(tmp_path / "scene.ply").points.shape == (50, 3)
    assert len(read_model(tmp_path / "colmap/sparse/0").points.ids) == 50


@pytest.mark.parametrize("name", [n for n in NEED_A_CAMERA if FORMATS[n].draws_points])
def test_points_made_view_by_view_give_the_same_files(name: str, tmp_path: Path) -> None:
    scene = make_scene(("landscape", "portrait", "turned"))
    write_formats(scene, tmp_path / "whole", [name], cloud=scene.point_cloud())
    write_formats(scene, tmp_path / "views", [name], cloud=scene.view_clouds())
    names = files(tmp_path / "whole")
    assert names == files(tmp_path / "views") != set()
    for file in names - {"scene.html"}:  # pages have random identifiers
        whole = (tmp_path / "whole" / file).read_bytes()
        assert whole == (tmp_path / "views" / file).read_bytes(), file


def test_only_few_points_are_held_while_formats_are_written(
    scene: Reconstruction, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = sum(depth.numel() for depth in scene.depth)
    monkeypatch.setattr(formats, "HELD_PIXELS", pixels)
    assert isinstance(formats.cloud_to_write(scene), PointCloud)
    monkeypatch.setattr(formats, "HELD_PIXELS", pixels - 1)
    made = formats.cloud_to_write(scene, min_conf_percentile=50)
    assert isinstance(made, ViewClouds)
    assert made.num_points == len(scene.point_cloud(min_conf_percentile=50))


@pytest.mark.parametrize("name", [n for n in ("ply", "laz") if FORMATS[n].installed])
def test_more_views_need_no_more_memory(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "HELD_PIXELS", 0)
    peaks = []
    for views in (2, 20):
        scene = make_scene(("landscape",) * views)
        with LiveTensors() as tensors:
            write_formats(scene, tmp_path, [name])
        peaks.append(tensors.peak)
    assert peaks[1] < 1.1 * peaks[0]


@pytest.mark.skipif(sys.platform != "linux", reason="limits address space as Linux does")
def test_a_scene_is_written_where_its_points_do_not_fit() -> None:
    command = [sys.executable, "-m", "tests.export.little_memory", "scene.ply"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    written, at_once = done.stdout.splitlines()
    assert written.startswith("scene.ply ")
    assert at_once == "at once: True"


@pytest.mark.parametrize("name", NEED_A_CAMERA)
def test_a_scene_without_cameras_is_refused_where_cameras_are_needed(
    name: str, scene: Reconstruction, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="none of the 2 views has a camera"):
        write_formats(without_cameras(scene, 0, 1), tmp_path, [name])
    assert files(tmp_path) == set()


@pytest.mark.parametrize("name", ["cameras", "npz"])
def test_a_scene_without_cameras_can_still_be_kept(
    name: str, scene: Reconstruction, tmp_path: Path
) -> None:
    write_formats(without_cameras(scene, 0, 1), tmp_path, [name])
    assert files(tmp_path) == {FORMATS[name].target}


@pytest.mark.parametrize("write", [save, lambda s, p: s.save(p)])
def test_a_folder_that_cannot_be_made_is_an_os_error_that_names_it(
    write: Callable[[Reconstruction, Path], None], scene: Reconstruction, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        write(scene, tmp_path / "file" / "a.npz")


def test_what_was_written_is_told(scene, tmp_path: Path) -> None:
    written = write_formats(scene, tmp_path, ["cameras", "colmap-text"])
    model = Path("colmap/sparse/0")
    assert written == [
        Path("cameras.json"),
        *(model / name for name in ("cameras.txt", "images.txt", "points3D.txt")),
    ]
