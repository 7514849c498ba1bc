"""Requests to the demo that its page would never send are answered with a message, or refused."""

import json
import math
import os
import re
import urllib.error
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client

from fast3r.viz.demo_app.asked import asked_files, asked_percentile, asked_wish
from tests.fuzz.mutation import mutants
from tests.fuzz.test_surroundings import ODD_NAMES
from tests.viz.running_demo import PHOTOS, Demo, Visitor, running_demo

_MANY = int(os.environ.get("FAST3R_FUZZ", "1500"))
"""Requests of each kind in the slow campaign."""

UPLOAD = {"path": "/tmp/gradio/a.jpg", "orig_name": "a.jpg", "meta": {"_type": "gradio.FileData"}}

REQUESTS: dict[str, list[Any]] = {
    "add": [[UPLOAD]],
    "reconstruct": ["small", 0, 30, 30, False],
    "redraw": [30],
    "download": ["ply", 30],
    "stop": [],
    "clear": [],
}
"""The values of a request that the page sends, by its name."""

# fmt: off
ODD = [
    None, True, 0, -1, 2.5, 1e308, -(2**63), 10**400, math.nan, math.inf, "", "x", "30", "a\0b",
    "../../etc/passwd", "/etc/passwd", "x" * 5000, [], [[]], [None], {}, {"path": None},
    {"path": "x"}, [{"path": "/etc/passwd"}], [{"path": "a\0b"}], [{"path": 3}],
]
# fmt: on
"""Values of kinds that nobody asked for."""


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    """A demo in which nothing of ours breaks, and which works in the end."""
    with running_demo("--max-views", "20") as demo:
        yield demo
        assert_nothing_of_ours_broke(demo)
        assert "add some photos" in demo.visitor().reconstruct().status


def tell(demo: Demo, name: str, body: bytes) -> str:
    """Return the answer to a request, be it a refusal."""
    try:
        return demo.call(name, body)
    except urllib.error.HTTPError as refusal:
        refusal.close()
        return f"refused with {refusal.code}"


def assert_nothing_of_ours_broke(demo: Demo) -> None:
    """Check that no error came out of our functions.

    Gradio logs how it refuses lists of the wrong length and files that are none, FastAPI that it
    cannot quote infinite numbers. All that passes through our reception, and no further.
    """
    assert not re.search(r"fast3r/viz/demo_app/(?!reception)", demo.said())


@pytest.mark.parametrize("name", REQUESTS)
def test_damaged_requests_do_no_harm(demo: Demo, name: str) -> None:
    try_damaged(demo, name, 30, seed=0)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", REQUESTS)
def test_thousands_of_damaged_requests_do_no_harm(demo: Demo, name: str) -> None:
    try_damaged(demo, name, _MANY, seed=1)


def try_damaged(demo: Demo, name: str, count: int, *, seed: int) -> None:
    """Send damaged copies of a request."""
    body = json.dumps({"data": REQUESTS[name]}).encode()
    for damaged in mutants(body, count, seed, text=True):
        said = tell(demo, name, damaged)
        assert "thumbnails" not in said
        assert "root:" not in said
    assert_nothing_of_ours_broke(demo)


@pytest.mark.parametrize(
    ("name", "place"),
    [(name, i) for name, values in REQUESTS.items() for i in range(len(values)) if name != "add"],
)
def test_values_that_cannot_be_had_are_refused_by_their_name(
    demo: Demo, name: str, place: int
) -> None:
    words = {"reconstruct": ["model", "size", "frames", "percentile", "refine"]}
    words |= {"redraw": ["percentile"], "download": ["format", "percentile"]}
    values = [*REQUESTS[name]]
    values[place] = {"what": "the page never sends"}
    said = tell(demo, name, json.dumps({"data": values}).encode())
    assert f"{words[name][place]} must be " in said


def test_photos_of_all_names_become_a_scene_whose_files_stay_in_their_folder(
    demo: Demo, tmp_path: Path
) -> None:
    files = []
    for number, name in enumerate(ODD_NAMES):
        files.append(tmp_path / name)
        files[-1].write_bytes(PHOTOS[number % len(PHOTOS)].read_bytes())
    visitor = Visitor(Client(demo.url, verbose=False, analytics_enabled=False))
    assert f"{len(ODD_NAMES)} photos" in visitor.add(*files)
    told = re.search(r"(\d+) of (\d+) photos found their place", visitor.reconstruct().status)
    assert told is not None
    placed, given = map(int, told.groups())
    assert 1 < placed <= given == len(ODD_NAMES)
    names = zipfile.ZipFile(visitor.download("everything")).namelist()
    assert all(name.startswith("fast3r/") and ".." not in name.split("/") for name in names)
    assert len([name for name in names if name.endswith(".npz")]) == placed + 1


@pytest.mark.parametrize(
    "read",
    [
        asked_files,
        asked_percentile,
        *(
            lambda sent, place=place: asked_wish(
                ("small",),
                *(sent if i == place else v for i, v in enumerate(REQUESTS["reconstruct"])),
            )
            for place in range(5)
        ),
    ],
)
def test_odd_values_are_read_or_refused(read: Callable[[Any], object]) -> None:
    refusals = []
    for sent in ODD:
        try:
            read(sent)
        except ValueError as error:
            refusals.append(str(error))
    assert refusals
    assert all("must be" in refusal and len(refusal) < 200 for refusal in refusals)
