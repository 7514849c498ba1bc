"""Run in a process of its own: a reconstruction with far less memory than it likes.

python -m tests.scene.short_of_memory unplanned | planned | surprised
"""

import resource
from pathlib import Path

import torch

from fast3r.models.config import EncoderConfig, Fast3RConfig, FusionConfig, HeadConfig
from fast3r.models.fast3r import Fast3R
from fast3r.scene.network import NetworkPass
from fast3r.scene.outputs import in_memory
from fast3r.scene.plan.need import Setting
from fast3r.scene.run import reconstruct
from fast3r.scene.stages import StageRecorder
from fast3r.views.view import View

# Its hidden layer is so wide that the usual chunk takes 250 MB, and all that must exist 60 MB.
WIDE = Fast3RConfig(
    encoder=EncoderConfig(width=64, depth=1, heads=2, patch=8),
    fusion=FusionConfig(width=256, depth=4, heads=4, mlp_ratio=16.0),
    head=HeadConfig(features=8, last_features=8, level_widths=(8, 8, 8, 8)),
    image_size=128,
)
ROWS, COLUMNS, VIEWS = 96, 128, 40
MIB = 2**20


def leave(mib: int) -> None:
    """Let this process take so much more address space and no more."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + mib * MIB
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def main() -> None:
    """Try without a plan, with one, and with one that is told of far too much memory."""
    torch.manual_seed(0)
    model = Fast3R(WIDE).eval()
    pixels = torch.randint(256, (VIEWS, ROWS, COLUMNS, 3)).byte()
    views = [View(p, torch.eye(3), f"{i}.jpg", ROWS, COLUMNS) for i, p in enumerate(pixels)]
    reconstruct(views[:1], model)  # libraries make room for themselves on first use
    leave(240)
    try:
        NetworkPass(views, model, seed=0, recorder=StageRecorder()).predictions(
            Setting(), in_memory
        )
    except RuntimeError as error:
        print("unplanned:", "can't allocate memory" in str(error))
    for memory_gib in (None, 100.0):
        recorder = StageRecorder()
        scene = reconstruct(views, model, memory_gib=memory_gib, recorder=recorder)
        print("\n".join(recorder.lines))
        print("depth maps:", len(scene.depth))


if __name__ == "__main__":
    main()
