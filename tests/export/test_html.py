"""scene.html: one page that needs nothing else."""

import re
from pathlib import Path

import pytest

from fast3r.export import html
from fast3r.scene.reconstruction import Reconstruction
from tests.scenes import make_scene, without_cameras

viser = pytest.importorskip("viser")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "scene.html"
    html.write(make_scene(), path)
    return path.read_text(encoding="utf-8")


def test_the_page_loads_nothing_from_elsewhere(page: str) -> None:
    assert page.lstrip().lower().startswith("<!doctype html>")
    outside = r"""(?:src|href)\s*=\s*["']?\s*(?:https?:)?//[^"'\s>]+"""
    assert re.findall(outside, page, flags=re.IGNORECASE) == []
    assert re.findall(r"(?:url|import)\s*\(\s*[\"']?https?:", page) == []


def test_stdout_stays_free_for_scripts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    html.write(make_scene(), tmp_path / "scene.html")
    assert capsys.readouterr().out == ""


def nodes_of(scene: Reconstruction) -> dict:
    """Return what `add_scene` puts into a viewer, by node."""
    server = html.start_server()
    try:
        html.add_scene(server, scene, scene.point_cloud())
        nodes = dict(server.scene._handle_from_node_name)
    finally:
        server.stop()
    return nodes


def test_only_registered_views_are_drawn() -> None:
    nodes = nodes_of(without_cameras(make_scene(), 1))
    assert "/points" in nodes
    assert [n for n in nodes if re.fullmatch(r"/cameras/\d+", n)] == [
        "/cameras/0",
        "/cameras/2",
        "/cameras/3",
    ]


def test_a_scene_without_cameras_is_refused_before_a_server_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(html, "start_server", lambda: pytest.fail("a server was started"))
    with pytest.raises(ValueError, match="none of the 1 views has a camera"):
        html.write(without_cameras(make_scene(("landscape",)), 0), tmp_path / "scene.html")


def test_a_missing_viser_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "viser", None)
    with pytest.raises(ImportError, match=r"pip install 'fast3r\[viewer\]'"):
        html.start_server()
