"""A scene written as .npz comes back bit by bit."""

import json
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fast3r.models.prediction import Pointmap
from fast3r.scene.reconstruction import Reconstruction, Scale
from fast3r.views.view import View
from tests.scenes import make_scene, without_cameras


def same(a: Any, b: Any) -> bool:
    """Whether two values are equal down to the bits of their numbers."""
    if isinstance(a, torch.Tensor):
        return (
            a.dtype == b.dtype and a.shape == b.shape and a.numpy().tobytes() == b.numpy().tobytes()
        )
    if is_dataclass(a):
        return type(a) is type(b) and all(
            same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a)
        )
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and repr(a) == repr(b)


@pytest.fixture
def scene() -> Reconstruction:
    """A scene that uses every field, with numbers that are easily lost."""
    scene = replace(without_cameras(make_scene(), 2), scale=Scale("metric", "GPS, RMS 0.3 m"))
    scene.depth[0][0, :4] = torch.tensor([torch.nan, torch.inf, 1e-42, -0.0])
    mask = torch.rand(24, 32) > 0.5
    masked = replace(scene.views[0], mask=mask, name="Übung/写真 1.jpg", camera_key="A|B|28mm")
    return replace(scene, views=[masked, *scene.views[1:]])


def test_a_scene_comes_back_bit_by_bit(scene: Reconstruction, tmp_path: Path) -> None:
    scene.save(tmp_path / "scene.npz")
    assert same(Reconstruction.load(tmp_path / "scene.npz"), scene)


def test_pointmaps_that_were_kept_come_back(scene: Reconstruction, tmp_path: Path) -> None:
    maps = [Pointmap(torch.rand(*depth.shape, 3), 1 + depth) for depth in scene.depth]
    kept = replace(scene, world_pointmaps=maps)
    kept.save(tmp_path / "scene.npz")
    assert same(Reconstruction.load(tmp_path / "scene.npz"), kept)


def test_the_comparison_notices_one_bit(scene: Reconstruction) -> None:
    depth = [scene.depth[0].clone(), *scene.depth[1:]]
    depth[0][5, 5] = torch.nextafter(depth[0][5, 5], torch.tensor(9.0))
    assert not same(replace(scene, depth=depth), scene)


def test_a_loaded_scene_can_be_changed_and_saved_again(
    scene: Reconstruction, tmp_path: Path
) -> None:
    scene.save(tmp_path / "a.npz")
    loaded = Reconstruction.load(tmp_path / "a.npz")
    loaded.depth[0].mul_(2)
    loaded.save(tmp_path / "a.npz")
    assert same(Reconstruction.load(tmp_path / "a.npz"), loaded)


class DecodedWhenAskedFor(View):
    """Stands for a view whose pixels are read from its file each time."""


def test_a_view_that_decodes_its_file_comes_back_as_one_that_holds_its_pixels(
    scene: Reconstruction, tmp_path: Path
) -> None:
    lazy = object.__new__(DecodedWhenAskedFor)
    vars(lazy).update(vars(scene.views[1]))
    views = [scene.views[0], lazy, *scene.views[2:]]
    replace(scene, views=views).save(tmp_path / "scene.npz")
    assert same(Reconstruction.load(tmp_path / "scene.npz"), scene)


def test_the_arrays_can_be_read_without_this_package(scene: Reconstruction, tmp_path: Path) -> None:
    scene.save(tmp_path / "scene.npz")
    with np.load(tmp_path / "scene.npz", allow_pickle=False) as archive:
        assert np.array_equal(archive["depth.3"], scene.depth[3].numpy())
        assert np.array_equal(archive["views.1.pixels"], scene.views[1].pixels.numpy())
        assert json.loads(str(archive["scene"]))["version"] == 1


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused(share: float, scene: Reconstruction, tmp_path: Path) -> None:
    path = tmp_path / "scene.npz"
    scene.save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ValueError, match=r"scene\.npz is damaged or no \.npz file"):
        Reconstruction.load(path)


def test_a_flipped_bit_is_noticed(scene: Reconstruction, tmp_path: Path) -> None:
    path = tmp_path / "scene.npz"
    scene.save(path)
    content = bytearray(path.read_bytes())
    content[content.index(scene.depth[1].numpy().tobytes()) + 100] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is damaged"):
        Reconstruction.load(path)


def test_an_archive_of_something_else_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", points=np.zeros(3))
    with pytest.raises(ValueError, match="not a scene of fast3r"):
        Reconstruction.load(tmp_path / "other.npz")
    np.savez(tmp_path / "other.npz", scene=np.array("[1, 2]"))
    with pytest.raises(ValueError, match="not a scene of fast3r"):
        Reconstruction.load(tmp_path / "other.npz")


@pytest.mark.parametrize("content", [b"", b"some text", b"\x80\x04]\x94.", b"PK\x03\x04broken"])
def test_a_file_that_is_no_archive_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "scene.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"damaged or no \.npz file"):
        Reconstruction.load(tmp_path / "scene.npz")


def test_a_single_array_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "scene.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(ValueError, match="it holds a single array"):
        Reconstruction.load(tmp_path / "scene.npz")


def rewrite(path: Path, change: Any) -> None:
    """Change the description inside an archive."""
    with np.load(path) as archive:
        arrays = dict(archive.items())
    document = json.loads(str(arrays["scene"]))
    change(document)
    np.savez(path, **{**arrays, "scene": np.array(json.dumps(document))})


def test_a_file_of_a_newer_version_is_refused(scene: Reconstruction, tmp_path: Path) -> None:
    scene.save(tmp_path / "scene.npz")
    rewrite(tmp_path / "scene.npz", lambda document: document.update(version=2))
    with pytest.raises(ValueError, match="scene format 2, this fast3r reads 1; upgrade"):
        Reconstruction.load(tmp_path / "scene.npz")


def test_a_file_that_lacks_a_part_is_refused(scene: Reconstruction, tmp_path: Path) -> None:
    scene.save(tmp_path / "scene.npz")
    rewrite(tmp_path / "scene.npz", lambda d: d["scene"]["Reconstruction"].pop("depth"))
    with pytest.raises(ValueError, match="not a whole scene"):
        Reconstruction.load(tmp_path / "scene.npz")


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Reconstruction.load(tmp_path / "scene.npz")


@pytest.mark.parametrize("content", [[1, 2], None, {"path": "a"}, {"a": 1, "b": 2}, {"Camera": []}])
def test_an_archive_of_something_else_is_no_scene(tmp_path: Path, content: Any) -> None:
    document = {"format": "fast3r", "version": 1, "scene": content}
    np.savez(tmp_path / "a.npz", scene=np.array(json.dumps(document)))
    with pytest.raises(ValueError, match="is not a whole scene"):
        Reconstruction.load(tmp_path / "a.npz")


def test_an_archive_of_an_unknown_compression_is_refused(scene, tmp_path: Path) -> None:
    scene.save(tmp_path / "a.npz")
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[content.rindex(b"PK\x01\x02") + 10] = 77
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"is damaged or no \.npz file"):
        Reconstruction.load(tmp_path / "a.npz")
