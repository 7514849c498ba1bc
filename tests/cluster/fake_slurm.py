"""A Slurm of one machine and one job: sbatch, srun and scontrol that run things at once."""

import os
import time
from pathlib import Path
from typing import Any

import pytest
import submitit

SBATCH = """#!/bin/sh
cp "$1" "{folder}/script.sh"
{folder}/scontrol requeue 4242
echo "Submitted batch job 4242"
"""

SCONTROL = """#!/bin/sh
# Begin the job, or begin it again once the process that asks for it is gone.
echo "$@" >> {folder}/requests
(
  while kill -0 "$PPID" 2> /dev/null; do sleep 0.05; done
  SLURM_JOB_ID=4242 SLURM_NTASKS=1 SLURM_PROCID=0 sh {folder}/script.sh
) >> {folder}/output 2>&1 &
"""

SRUN = """#!/bin/sh
# Drop options, then run the command.
while [ "${{1#--}}" != "$1" ]; do
  if [ "$1" = --output ]; then log=$(echo "$2" | sed "s/%j/$SLURM_JOB_ID/; s/%t/0/"); shift; fi
  shift
done
exec "$@" >> "$log" 2>&1
"""


def install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the commands first on the path."""
    folder.mkdir()
    for name, text in {"sbatch": SBATCH, "scontrol": SCONTROL, "srun": SRUN}.items():
        (folder / name).write_text(text.format(folder=folder))
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def requests(folder: Path) -> list[str]:
    """Return what scontrol was asked for; the first one comes from sbatch."""
    return (folder / "requests").read_text().splitlines()


def result(job: submitit.Job, folder: Path, seconds: float = 60) -> Any:
    """Wait for the result of a job; submitit itself looks for it once in ten seconds only."""
    end = time.monotonic() + seconds
    while not job.paths.result_pickle.exists():
        assert time.monotonic() < end, (folder / "output").read_text() + str(job.stdout())
        time.sleep(0.05)
    return job.result()
