"""Pieces of the page."""

from dataclasses import replace
from pathlib import Path

from fast3r.scene.refinement.record import RefinementRecord
from fast3r.views.view import SkippedPhoto
from fast3r.viz.demo_app import fragments
from fast3r.viz.demo_app.line import Job
from fast3r.viz.demo_app.visits import Batch, Visit
from tests.scenes import make_scene, without_cameras

HOSTILE = '<img src=x onerror="alert(1)">.jpg'


def test_names_of_visitors_are_never_markup() -> None:
    scene = without_cameras(make_scene(), 1)
    views = [replace(view, name=f"{i}{HOSTILE}") for i, view in enumerate(scene.views)]
    scene = replace(scene, views=views)
    lost = [SkippedPhoto(HOSTILE, HOSTILE)]
    visit = Visit([Batch(views, is_video=False)], lost)
    for html in (
        fragments.notice(HOSTILE),
        fragments.tray(visit),
        fragments.left_out(lost),
        fragments.camera_table(scene),
    ):
        assert "&lt;img src=x onerror=" in html
        assert "<img src=x" not in html


def test_the_table_tells_focal_length_position_and_why_there_is_none() -> None:
    scene = without_cameras(make_scene(), 1)
    rows = fragments.camera_table(scene).split("<tr")[2:]
    camera = scene.camera(0)
    assert f"<td>{camera.intrinsics[0, 0] + 1.5:.0f}</td>" in rows[0]
    assert "-0.50, -0.30, 0.00" in rows[0]
    assert "too few sure points" in rows[1]
    assert len(rows) == len(scene.views)


def test_the_summary_counts_photos_that_found_their_place() -> None:
    html = fragments.summary(without_cameras(make_scene(), 1), 12345, 2.0)
    assert "3 of 4 photos found their place, 12,345 points, in 2.0 s." in html


def test_the_summary_counts_cameras_that_were_refined() -> None:
    scene = make_scene()
    record = RefinementRecord("global", "shared", 1, 9, 9, 0.1, 0.9, 3.0, 0.2, [])
    html = fragments.summary(replace(scene, refinement=record), 12345, 2.0)
    assert "found their place, none refined, 12,345 points" in html


def test_stages_of_refinement_are_shown_once_they_have_begun() -> None:
    job = Job(lambda _: None)
    job.started("features")
    html = fragments.progress(job)
    assert html.count("<li") == len(fragments.STAGES) + 1
    assert html.index("Find features") < html.index("Draw the scene")


def test_long_lists_of_files_are_cut() -> None:
    html = fragments.left_out([SkippedPhoto(f"{i}.txt", "no photo") for i in range(30)])
    assert "30 files not used" in html
    assert html.count("<li>") == 9
    assert "and 22 more" in html


def test_stages_that_have_not_begun_are_shown_too() -> None:
    job = Job(lambda _: None)
    job.started("load model")
    html = fragments.progress(job)
    assert html.count("<li") == len(fragments.STAGES)
    assert html.count('class="now"') == 1


def test_the_view_is_addressed_relative_to_the_page() -> None:
    html = fragments.stage_view(Path("/results/0/scene.html"))
    assert 'src="gradio_api/file=/results/0/scene.html"' in html
