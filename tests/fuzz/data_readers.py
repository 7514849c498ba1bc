"""Every reader of datasets and of evaluation results, with small valid files for it."""

import gzip
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fast3r.data.dataset import Dataset, PosedScenes
from fast3r.data.datasets.arkitscenes import ArkitScenes
from fast3r.data.datasets.blendedmvs import BlendedMVS, PreprocessedBlendedMVS
from fast3r.data.datasets.co3d import Co3d
from fast3r.data.datasets.co3d_raw import Co3dRaw
from fast3r.data.datasets.dtu import Dtu
from fast3r.data.datasets.eth3d import Eth3d
from fast3r.data.datasets.habitat import Habitat
from fast3r.data.datasets.megadepth import MegaDepth
from fast3r.data.datasets.nrgbd import Nrgbd
from fast3r.data.datasets.posed_rgbd import PosedRgbd
from fast3r.data.datasets.re10k import Re10k
from fast3r.data.datasets.robustmvd import RobustMvd
from fast3r.data.datasets.scannet import ScanNet
from fast3r.data.datasets.scannetpp import ScanNetPP
from fast3r.data.datasets.seven_scenes import SevenScenes
from fast3r.data.datasets.static_things import StaticThings3D
from fast3r.data.datasets.tum import Tum
from fast3r.data.datasets.waymo import Waymo
from fast3r.data.datasets.wildrgbd import WildRgbd
from fast3r.data.frame import BrokenFrameError
from fast3r.evaluation.report import write_report
from fast3r.evaluation.results import is_finished, read_results
from fast3r.evaluation.running import manifest_of, run
from fast3r.evaluation.scaling import csv_text, curves_of
from tests.datasets import (
    evaluation_sets,
    preprocessed,
    test_arkitscenes,
    test_blendedmvs,
    test_co3d,
    test_habitat,
    test_megadepth,
    test_posed_rgbd,
    test_scannetpp,
    test_static_things,
    test_wildrgbd,
)
from tests.datasets.evaluation_sets import FREIBURG3, KINECT, NRGBD, shots, small_camera
from tests.evaluation.fakes import Off, Steps
from tests.fuzz.readers import Reader


@dataclass(frozen=True)
class Layout:
    """A dataset on disk."""

    write: Callable[[Path], object]
    """Writes it into an empty folder."""

    open: Callable[[Path], PosedScenes]
    """Opens it."""

    scene: str
    """One that is there."""

    frame: str
    """One of the scene, all files of which are there."""

    texts: tuple[str, ...] = ()
    """Its text files, relative to its folder."""

    binaries: tuple[str, ...] = ()
    """Its other files."""


_SMALL = shots(3, small_camera(24, 32), 24, 32)
_TUM, _BLENDED = "rgbd_dataset_freiburg3_walking_xyz", test_blendedmvs.SCENE
_APPLE, _CLIP, _SEQUENCE = "apple/110_13051_23361", "0000cc6d8b108390", "110_13051_23361"

LAYOUTS = {
    "arkitscenes": Layout(
        test_arkitscenes.write_arkitscenes,
        ArkitScenes,
        test_arkitscenes.SCENE,
        test_arkitscenes.NAMES[0],
        binaries=(
            "Training/all_metadata.npz",
            f"Training/{test_arkitscenes.SCENE}/scene_metadata.npz",
            f"Training/{test_arkitscenes.SCENE}/lowres_depth/{test_arkitscenes.NAMES[0]}",
        ),
    ),
    "scannetpp": Layout(
        test_scannetpp.write_scannetpp,
        ScanNetPP,
        test_scannetpp.SCENE,
        test_scannetpp.FILM[3],
        binaries=("all_metadata.npz", f"{test_scannetpp.SCENE}/scene_metadata.npz"),
    ),
    "co3d": Layout(
        test_co3d.write_co3d,
        Co3d,
        _APPLE,
        "frame000002",
        texts=("selected_seqs_train.json",),
        binaries=(
            f"{_APPLE}/images/frame000002.npz",
            f"{_APPLE}/depths/frame000002.jpg.geometric.png",
            f"{_APPLE}/masks/frame000002.png",
        ),
    ),
    "wildrgbd": Layout(
        test_wildrgbd.write_wildrgbd,
        WildRgbd,
        test_wildrgbd.SHOE,
        "00003",
        texts=("selected_seqs_train.json",),
        binaries=(f"{test_wildrgbd.SHOE}/metadata/00003.npz",),
    ),
    "habitat": Layout(
        test_habitat.write_habitat,
        Habitat,
        test_habitat.SCENE,
        "2",
        texts=(
            "Habitat_1000_scenes_train.txt",
            f"{test_habitat.SCENE}_2_camera_params.json",
        ),
        binaries=(f"{test_habitat.SCENE}_2_depth.exr",),
    ),
    "blendedmvs": Layout(
        lambda root: test_blendedmvs.write_scene(root / _BLENDED),
        BlendedMVS,
        _BLENDED,
        "00000001",
        texts=(f"{_BLENDED}/cams/pair.txt", f"{_BLENDED}/cams/00000001_cam.txt"),
        binaries=(f"{_BLENDED}/rendered_depth_maps/00000001.pfm",),
    ),
    "preprocessed-blendedmvs": Layout(
        test_blendedmvs.write_preprocessed,
        PreprocessedBlendedMVS,
        _BLENDED,
        "00000001",
        binaries=("blendedmvs_pairs.npy", f"{_BLENDED}/00000001.npz"),
    ),
    "megadepth": Layout(
        test_megadepth.write_megadepth,
        MegaDepth,
        "0000/0",
        test_megadepth.PHOTOS[1],
        binaries=("megadepth_pairs.npz", f"0000/0/{test_megadepth.PHOTOS[1]}.npz"),
    ),
    "static-things": Layout(
        test_static_things.write_static_things,
        StaticThings3D,
        "A/0003",
        "left/0006_clean",
        binaries=("staticthings_pairs.npy",),
    ),
    "waymo": Layout(
        preprocessed.write_waymo,
        Waymo,
        preprocessed.SEGMENTS[0],
        preprocessed.FRAMES[0],
        binaries=("waymo_pairs.npz", f"{preprocessed.SEGMENTS[0]}/00000_1.exr"),
    ),
    "posed-rgbd": Layout(
        lambda root: test_posed_rgbd.write_scene(root / "kitchen"),
        PosedRgbd,
        "kitchen",
        "photo_1.png",
        texts=("kitchen/cameras.json",),
        binaries=("kitchen/depth/photo_1.png",),
    ),
    "7-scenes": Layout(
        lambda root: evaluation_sets.write_seven_scenes(root, 3, shots(2, KINECT, 24, 32)),
        SevenScenes,
        "chess/seq-03",
        "frame-000000",
        texts=("chess/TestSplit.txt", "chess/seq-03/frame-000000.pose.txt"),
        binaries=("chess/seq-03/frame-000000.depth.proj.png",),
    ),
    "nrgbd": Layout(
        lambda root: evaluation_sets.write_nrgbd(root, shots(2, NRGBD, 24, 32)),
        Nrgbd,
        "breakfast_room",
        "1",
        texts=("breakfast_room/poses.txt",),
    ),
    "dtu": Layout(
        lambda root: evaluation_sets.write_dtu(root, "scan1", _SMALL),
        Dtu,
        "scan1",
        "00000001",
        texts=("scan1/cams/00000001_cam.txt", "scan1/pair.txt"),
        binaries=("scan1/depths/00000001.npy", "scan1/binary_masks/00000001.png"),
    ),
    "scannet": Layout(
        lambda root: evaluation_sets.write_scannet(root, "scene0707_00", _SMALL),
        ScanNet,
        "scene0707_00",
        "1",
        texts=("scene0707_00/pose/1.txt", "scene0707_00/intrinsic/intrinsic_depth.txt"),
    ),
    "tum": Layout(
        lambda root: evaluation_sets.write_tum(root, _TUM, shots(3, FREIBURG3, 24, 32)),
        Tum,
        _TUM,
        "1341846313.033333",
        texts=(f"{_TUM}/rgb.txt", f"{_TUM}/depth.txt", f"{_TUM}/groundtruth.txt"),
    ),
    "re10k": Layout(
        lambda root: evaluation_sets.write_re10k(root, _CLIP, _SMALL),
        Re10k,
        _CLIP,
        "100100",
        texts=(f"test/{_CLIP}.txt",),
    ),
    "eth3d": Layout(
        lambda root: evaluation_sets.write_eth3d(root, "courtyard", _SMALL),
        Eth3d,
        "courtyard",
        "DSC_0001.JPG",
        texts=(
            "courtyard/dslr_calibration_jpg/cameras.txt",
            "courtyard/dslr_calibration_jpg/images.txt",
        ),
        binaries=("courtyard/ground_truth_depth/dslr_images/DSC_0001.JPG",),
    ),
    "co3d-raw": Layout(
        lambda root: evaluation_sets.write_co3d_raw(root, "apple", {_SEQUENCE: _SMALL}),
        Co3dRaw,
        _APPLE,
        "frame000002",
        texts=("apple/set_lists/set_lists_fewview_dev.json",),
        binaries=("apple/frame_annotations.jgz", "apple/sequence_annotations.jgz"),
    ),
    "robustmvd": Layout(
        lambda root: evaluation_sets.write_robustmvd(root, _SMALL, key=1),
        lambda root: RobustMvd(root, "eth3d"),
        "000",
        "1",
        binaries=("eth3d.robustmvd.mvd.pickle",),
    ),
}


def look_at(layout: Layout, root: Path) -> None:
    """Use a dataset as training and evaluation do.

    Raises:
        ValueError: It cannot be opened.
        BrokenFrameError: The scene cannot be read or drawn from, or the frame cannot be read.
        AssertionError: After it was opened it raised something else.
    """
    _forget_what_was_read()
    dataset = layout.open(root)
    try:
        if layout.scene in dataset.scenes and layout.frame in dataset.frames(layout.scene):
            dataset.read(layout.scene, layout.frame)
        for scene in dataset.scenes:
            _draw_from(dataset, scene, raises=scene == layout.scene)
    except BrokenFrameError:
        raise
    except (ValueError, OSError) as error:
        raise AssertionError(f"no BrokenFrameError, but {type(error).__name__}: {error}") from error


def _draw_from(dataset: PosedScenes, scene: str, *, raises: bool) -> None:
    """Ask for the frames of a scene; the others than ours have no files."""
    try:
        frames = dataset.frames(scene)
        if isinstance(dataset, Dataset):
            dataset.draw(scene, 3, np.random.default_rng(0))
        if isinstance(dataset, Dtu):
            dataset.overlapping(scene, frames[0])
    except BrokenFrameError:
        if raises:
            raise


def _forget_what_was_read() -> None:
    """Empty what modules keep of files that are written anew here."""
    for name, module in list(sys.modules.items()):
        if name.startswith("fast3r.data.datasets."):
            for value in vars(module).values():
                if hasattr(value, "cache_clear"):
                    value.cache_clear()


def _readers() -> Iterator[tuple[str, Reader]]:
    """Yield a reader for each file of each dataset."""
    for name, layout in LAYOUTS.items():
        for file in (*layout.texts, *layout.binaries):
            yield f"{name}-{Path(file).name}", _of_file(layout, file)


def _of_file(layout: Layout, file: str) -> Reader:
    def write(folder: Path) -> Path:
        layout.write(folder)
        return folder / file

    def read(path: Path) -> None:
        look_at(layout, path.parents[file.count("/")])

    return Reader(write, read, text=file in layout.texts, quick=40)


def _inside_gzip(file: str) -> Reader:
    """Return a reader whose damage is done to what is packed in a file of CO3D."""
    layout = LAYOUTS["co3d-raw"]

    def write(folder: Path) -> Path:
        layout.write(folder)
        path = folder / f"{file}.txt"
        path.write_bytes(gzip.decompress((folder / file).read_bytes()))
        return path

    def read(path: Path) -> None:
        path.with_suffix("").write_bytes(gzip.compress(path.read_bytes(), 1))
        look_at(layout, path.parents[1])

    return Reader(write, read, text=True, quick=150)


# --- results of evaluations ------------------------------------------------------------------


def _results(damaged: str) -> Reader:
    steps = Steps(cases=("a", "b"), broken=("b",))

    def write(folder: Path) -> Path:
        run(steps, [Off(error=0.5)], folder, cases=steps.cases)
        more = Steps(name="steps-3-views", cases=("a",))
        run(more, [Off(error=0.2)], folder, cases=more.cases)
        return folder / damaged

    def read(path: Path) -> None:
        root = path.parents[damaged.count("/")]
        every = read_results(root)
        write_report(root)
        csv_text(curves_of(every))
        is_finished(root, manifest_of(steps, steps.cases), Off(error=0.5), "a")

    return Reader(write, read, text=True, quick=120)


DATA_READERS = {
    **dict(_readers()),
    "co3d-raw-frames-inside": _inside_gzip("apple/frame_annotations.jgz"),
    "co3d-raw-sequences-inside": _inside_gzip("apple/sequence_annotations.jgz"),
    "evaluation-manifest": _results("steps/benchmark.json"),
    "evaluation-result": _results("steps/off/a.json"),
    "evaluation-unreadable": _results("steps/unreadable/b.json"),
}
