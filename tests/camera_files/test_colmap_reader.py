"""COLMAP models are read as they were written, by us or by COLMAP."""

from pathlib import Path

import pytest
import torch

from fast3r.camera_files.colmap_reader import read_model
from fast3r.export import colmap
from fast3r.export.colmap_writer import write_binary, write_text
from tests.scenes import make_scene


@pytest.mark.parametrize("write", [write_binary, write_text])
def test_our_reader_reads_what_was_written_exactly(write, tmp_path: Path) -> None:
    model = colmap.colmap_model(make_scene())
    write(model, tmp_path)
    found = read_model(tmp_path)
    assert found.cameras == model.cameras
    for key, image in model.images.items():
        other = found.images[key]
        assert (other.name, other.camera_id) == (image.name, image.camera_id)
        assert torch.equal(other.xy, image.xy)
        assert torch.equal(other.point_ids, image.point_ids)
        torch.testing.assert_close(
            other.camera_from_world, image.camera_from_world, atol=1e-7, rtol=0
        )
    order = found.points.ids.argsort()
    assert torch.equal(found.points.ids[order], model.points.ids)
    assert torch.equal(found.points.positions[order], model.points.positions)
    assert torch.equal(found.points.colors[order], model.points.colors)
    assert torch.equal(found.points.errors[order], model.points.errors)
    starts = found.points.track_starts
    lengths = starts.diff(append=torch.tensor([len(found.points.tracks)]))
    for row in range(0, len(order), 97):
        place = order[row]
        theirs = found.points.tracks[starts[place] : starts[place] + lengths[place]]
        start = model.points.track_starts[row]
        assert torch.equal(theirs, model.points.tracks[start : start + len(theirs)])


def test_our_reader_reads_what_pycolmap_wrote(tmp_path: Path) -> None:
    pycolmap = pytest.importorskip("pycolmap")
    (tmp_path / "ours").mkdir()
    colmap.write(make_scene(), tmp_path / "ours")
    for kind, write in (("bin", "write_binary"), ("txt", "write_text")):
        (tmp_path / kind).mkdir()
        getattr(pycolmap.Reconstruction(tmp_path / "ours"), write)(tmp_path / kind)
        found, ours = read_model(tmp_path / kind), read_model(tmp_path / "ours")
        assert found.cameras == ours.cameras
        assert {i.name for i in found.images.values()} == {i.name for i in ours.images.values()}
        assert len(found.points.tracks) == len(ours.points.tracks)
        torch.testing.assert_close(found.images[2].xy, ours.images[2].xy)


@pytest.mark.parametrize("name", ["cameras.bin", "images.bin", "points3D.bin"])
def test_a_truncated_file_is_refused(name: str, tmp_path: Path) -> None:
    colmap.write(make_scene(), tmp_path)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(ValueError, match="holds no COLMAP model that can be read"):
        read_model(tmp_path)
