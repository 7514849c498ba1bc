"""Draw contact sheets of procedural scenes, one scene per row.

python -m benchmarks.show_procedural --output sheet.png --scenes 8 --views 8 --seed 0
"""

import argparse
import time
from pathlib import Path

import torch
from PIL import Image

from fast3r.data.procedural.config import ProceduralConfig
from fast3r.data.procedural.generate import generate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("procedural.png"))
    parser.add_argument("--scenes", type=int, default=8)
    parser.add_argument("--views", type=int, default=8)
    parser.add_argument("--height", type=int, default=96)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--difficulty", type=float, default=1.0)
    parser.add_argument("--supersample", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--indoor", type=float, default=ProceduralConfig.indoor_share)
    parser.add_argument("--outdoor", type=float, default=ProceduralConfig.outdoor_share)
    parser.add_argument("--clean", action="store_true", help="without each camera's own effects")
    chosen = parser.parse_args()
    config = ProceduralConfig(
        indoor_share=chosen.indoor,
        outdoor_share=chosen.outdoor,
        supersample=chosen.supersample,
        augment=not chosen.clean,
    )
    start = time.perf_counter()
    sample = generate(
        config,
        batch=chosen.scenes,
        views=chosen.views,
        height=chosen.height,
        width=chosen.width,
        seed=chosen.seed,
        device=chosen.device,
        difficulty=chosen.difficulty,
    )
    print(f"{time.perf_counter() - start:.2f} s, valid {sample.valid.float().mean():.3f}")
    sheet = sample.images.permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1)
    Image.fromarray((255 * sheet.cpu()).to(torch.uint8).numpy()).save(chosen.output)


if __name__ == "__main__":
    main()
