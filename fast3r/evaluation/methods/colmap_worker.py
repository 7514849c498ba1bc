"""Runs COLMAP on a folder of photos, in a process of its own that may die or be stopped.

    python -m fast3r.evaluation.methods.colmap_worker FOLDER MAPPING SEED

FOLDER has `images/`; models go to `models/`, the peak memory in GiB to `peak.txt`.
"""

import sys
from pathlib import Path

from fast3r.cluster.cores import usable_cores
from fast3r.evaluation.cost import lifetime_peak_gib

_MIN_MODEL_SIZE = 2
"""Photos of a model that is kept; COLMAP's default drops parts with less than 10."""


def main(folder: Path, mapping: str, seed: int) -> None:
    """Find features, match all pairs and map, as COLMAP does by default but for small sets."""
    import pycolmap

    pycolmap.logging.minloglevel = pycolmap.logging.Level.ERROR.value
    pycolmap.set_random_seed(seed)
    threads = usable_cores()
    database, images, models = folder / "database.db", folder / "images", folder / "models"
    models.mkdir()
    pycolmap.extract_features(
        database,
        images,
        # Photos of one size share their intrinsics, as for our own models: on 10 photos each of 17
        # sets it raised COLMAP's AUC@30 from 42.5 to 47.1.
        camera_mode=pycolmap.CameraMode.PER_FOLDER,
        extraction_options=pycolmap.FeatureExtractionOptions(num_threads=threads, use_gpu=False),
        device=pycolmap.Device.cpu,
    )
    verification = pycolmap.TwoViewGeometryOptions()
    # Without it the result would depend on which thread meets which pair.
    verification.ransac.random_seed = seed
    pycolmap.match_exhaustive(
        database,
        matching_options=pycolmap.FeatureMatchingOptions(num_threads=threads, use_gpu=False),
        verification_options=verification,
        device=pycolmap.Device.cpu,
    )
    _map(mapping, database, images, models, seed)
    (folder / "peak.txt").write_text(str(lifetime_peak_gib()))


def _map(mapping: str, database: Path, images: Path, models: Path, seed: int) -> None:
    import pycolmap

    # On more threads sums are rounded in another order each time, and maps of few matches come
    # out differently.
    common = {"num_threads": 1, "random_seed": seed, "min_model_size": _MIN_MODEL_SIZE}
    # By default points must be seen in three photos, of which two photos have none.
    only_two = sum(path.is_file() for path in images.rglob("*")) == 2
    if mapping == "incremental":
        incremental = pycolmap.IncrementalPipelineOptions(**common)
        incremental.triangulation.ignore_two_view_tracks = not only_two
        pycolmap.incremental_mapping(database, images, models, incremental)
        return
    options = pycolmap.GlobalPipelineOptions(**common)
    mapper = options.mapper
    mapper.num_threads = mapper.bundle_adjustment.ceres.solver_options.num_threads = 1
    for part in (mapper, mapper.rotation_averaging, mapper.global_positioning):
        part.random_seed = seed
    mapper.retriangulation.random_seed = seed
    if only_two:
        mapper.track_min_num_views_per_track = 2
        mapper.global_positioning.min_num_view_per_track = 2
        mapper.bundle_adjustment.min_track_length = 2
        mapper.retriangulation.ignore_two_view_tracks = False
    pycolmap.global_mapping(database, images, models, options)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
