"""What the plan predicts against what a run takes: peak memory, and time by stage.

    python -m benchmarks.plan --output benchmarks/results
    python -m benchmarks.plan --fit        # prints the factors that fit this machine best

Each configuration runs in a process of its own, with random weights and photos of noise. Seconds
are CPU seconds of one thread, so that other work on the machine counts as little as possible; the
rates are probed before and after the run, and their mean is taken. Configurations that the
constants were fitted to are told from those that were held out.
"""

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import torch

from benchmarks.forward import MODELS
from benchmarks.report import parser_of, processor, run_apart
from benchmarks.stages import stage_seconds
from fast3r.export.formats import save
from fast3r.geometry.cameras import Camera
from fast3r.models.fast3r import Fast3R
from fast3r.scene.free_memory import resident_bytes
from fast3r.scene.machine import Precision
from fast3r.scene.plan import seconds as formulas
from fast3r.scene.plan.choosing import choose
from fast3r.scene.plan.ladder import Wish
from fast3r.scene.plan.rates import Rates, measure_rates
from fast3r.scene.plan.situation import Situation
from fast3r.scene.plan.workload import Workload
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.run import reconstruct
from fast3r.scene.stages import StageCost, StageRecorder, Watcher
from fast3r.views.view import View

MIB = 2**20
STAGES = ("encoder", "fusion", "heads", "cameras", "writing")


@dataclass(frozen=True)
class Configuration:
    """One run to predict and to measure."""

    model: str
    views: int
    rows: int
    columns: int
    precision: Precision = "float32"
    held_out: bool = False

    @property
    def label(self) -> str:
        """As it stands in the table."""
        return f"{self.model}, {self.views} x {self.columns}x{self.rows}, {self.precision}"


CONFIGURATIONS = [
    Configuration("small", 4, 96, 128),
    Configuration("small", 16, 96, 128),
    Configuration("small", 48, 96, 128),
    Configuration("small", 12, 192, 256, "bfloat16"),
    Configuration("shallow", 4, 192, 256),
    Configuration("shallow", 16, 192, 256),
    Configuration("shallow", 8, 384, 512),
    Configuration("shallow", 24, 192, 256, "bfloat16"),
    Configuration("published", 2, 192, 256),
    Configuration("small", 9, 96, 128, held_out=True),
    Configuration("small", 96, 96, 128, held_out=True),
    Configuration("small", 24, 128, 128, "bfloat16", held_out=True),
    Configuration("shallow", 40, 192, 256, held_out=True),
    Configuration("shallow", 12, 256, 256, held_out=True),
    Configuration("shallow", 5, 512, 512, "bfloat16", held_out=True),
    Configuration("published", 5, 144, 256, held_out=True),
    Configuration("published", 3, 256, 256, "bfloat16", held_out=True),
    Configuration("published", 2, 384, 512, held_out=True),
]


@dataclass(frozen=True)
class Measurement:
    """What one configuration was predicted to take, and took."""

    configuration: Configuration
    predicted_mib: float
    peak_mib: float
    predicted_cloud_mib: float
    cloud_mib: float
    """The peak once the cloud is written; not below `peak_mib`, as a process's peak never falls."""
    predicted_s: dict[str, float]
    measured_s: dict[str, float]
    rates: Rates

    @property
    def memory_error(self) -> float:
        """Relative."""
        return self.predicted_mib / self.peak_mib - 1

    @property
    def time_error(self) -> float:
        """Relative, of all stages together."""
        return sum(self.predicted_s.values()) / sum(self.measured_s.values()) - 1


class _CpuSeconds(Watcher):
    """Measures the stages of a run in CPU seconds."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._begun = 0.0

    def started(self, stage: str) -> None:
        """Begin to count."""
        self._begun = time.process_time()

    def ended(self, cost: StageCost) -> None:
        """Remember the stage."""
        self.seconds[cost.name] = time.process_time() - self._begun


def situation(configuration: Configuration, resident: int) -> Situation:
    """Return what the plan is made for: as much memory as it likes."""
    config = MODELS[configuration.model]
    size = (configuration.rows, configuration.columns)
    workload = Workload.uniform(configuration.views, size, config.encoder.patch)
    return Situation(config, workload, torch.device("cpu"), resident, None, None)


def measure(configuration: Configuration) -> Measurement:
    """Return the figures of one configuration, measured in this process."""
    resident = resident_bytes()
    torch.manual_seed(0)
    model = Fast3R(MODELS[configuration.model]).eval()
    rows, columns, precision = configuration.rows, configuration.columns, configuration.precision
    views = [
        View(torch.randint(256, (rows, columns, 3)).byte(), torch.eye(3), f"{i}.jpg", rows, columns)
        for i in range(configuration.views)
    ]
    watcher = _CpuSeconds()
    recorder = StageRecorder(watcher=watcher)
    with stage_seconds(model) as parts:
        before = _rates(model, precision)
        # Linux counts the peak anew from here: the probe's own tensors are gone.
        Path("/proc/self/clear_refs").write_text("5")
        scene = reconstruct(
            views, model, size=max(rows, columns), precision=precision, recorder=recorder
        )
        peak = recorder.costs[-1].host_peak_gib
    with tempfile.TemporaryDirectory() as folder, recorder.stage("writing"):
        save(_posed(scene), Path(folder) / "scene.ply")
    after = _rates(model, precision)
    rates = Rates(*((getattr(before, f.name) + getattr(after, f.name)) / 2 for f in fields(Rates)))
    cloud_peak = recorder.costs[-1].host_peak_gib
    assert peak is not None
    assert cloud_peak is not None
    circumstances = situation(configuration, resident)
    plan = choose(circumstances, Wish(precision=precision))
    predicted = formulas.plan_seconds(circumstances, plan, rates)
    measured = {**parts, "cameras": watcher.seconds["cameras"]}
    measured["writing"] = watcher.seconds["writing"]
    return Measurement(
        configuration,
        predicted_mib=plan.need.host / MIB,
        peak_mib=peak * 1024,
        predicted_cloud_mib=plan.need.writing / MIB,
        cloud_mib=cloud_peak * 1024,
        predicted_s={stage: predicted[stage] for stage in STAGES},
        measured_s={stage: measured[stage] for stage in STAGES},
        rates=rates,
    )


def _rates(model: Fast3R, precision: Precision) -> Rates:
    return measure_rates(
        model.config, model.device, precision, again=True, seconds=0.2, clock=time.process_time
    )


def _posed(scene: Reconstruction) -> Reconstruction:
    """Return a scene of the same size that has cameras and a smooth surface, so points to write."""
    cameras, depth = [], []
    for view, old in zip(scene.views, scene.depth, strict=True):
        intrinsics = torch.tensor(
            [[view.width, 0, view.width / 2], [0, view.width, view.height / 2], [0, 0, 1]]
        )
        cameras.append(Camera(intrinsics.float(), torch.eye(4), view.height, view.width))
        depth.append(torch.ones_like(old))
    failures = [None] * len(cameras)
    return replace(scene, cameras=cameras, depth=depth, failures=failures)


def measure_apart(configuration: Configuration) -> Measurement:
    """Return the figures of one configuration, measured in a process of its own."""
    found = run_apart("plan", "--one", json.dumps(asdict(configuration)))
    found["configuration"] = Configuration(**found["configuration"])
    return Measurement(**{**found, "rates": Rates(**found["rates"])})


def table(rows: Sequence[Measurement]) -> str:
    """Return the rows as Markdown."""
    lines = [
        "| run | | peak MiB | predicted | error | CPU s | predicted | error | "
        + " | ".join(f"{stage} s / predicted" for stage in STAGES)
        + " |",
        "|---|---|---:|---:|---:|---:|---:|---:|" + "---:|" * len(STAGES),
    ]
    for row in rows:
        cells = [
            row.configuration.label,
            "held out" if row.configuration.held_out else "fitted",
            f"{row.peak_mib:.0f}",
            f"{row.predicted_mib:.0f}",
            f"{row.memory_error:+.0%}",
            f"{sum(row.measured_s.values()):.2f}",
            f"{sum(row.predicted_s.values()):.2f}",
            f"{row.time_error:+.0%}",
        ]
        cells += [f"{row.measured_s[s]:.2f} / {row.predicted_s[s]:.2f}" for s in STAGES]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure and report."""
    parser = parser_of(__doc__)
    parser.add_argument("--one", help="measure one configuration here, given as JSON")
    parser.add_argument("--repeats", type=int, default=1, help="the median run by time counts")
    parser.add_argument("--fit", action="store_true", help="print factors that fit this machine")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.one:
        print(json.dumps(asdict(measure(Configuration(**json.loads(options.one))))))
        return
    rows = []
    for configuration in CONFIGURATIONS:
        found = [measure_apart(configuration) for _ in range(options.repeats)]
        found.sort(key=lambda row: row.time_error)
        rows.append(found[len(found) // 2])
        print(table(rows).splitlines()[-1], flush=True)
    print(table(rows))
    if options.fit:
        from benchmarks.plan_factors import fitted_factors

        print(fitted_factors([row for row in rows if not row.configuration.held_out]))
    if options.output:
        _write(rows, options.output)


def _write(rows: Sequence[Measurement], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    setting = {"processor": processor(), "threads": 1, "torch": torch.__version__}
    report = {"setting": setting, "rows": [asdict(row) for row in rows]}
    (folder / "plan-cpu.json").write_text(json.dumps(report, indent=1) + "\n")
    told = ", ".join(f"{key} {value}" for key, value in setting.items())
    text = f"# Prediction and run\n\n{told}. `python -m benchmarks.plan` makes this file.\n\n"
    (folder / "plan-cpu.md").write_text(text + table(rows) + "\n")


if __name__ == "__main__":
    main()
