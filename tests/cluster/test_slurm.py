"""Batch scripts ask for what the configuration says, and lists come back whole and in order."""

import pytest
import submitit

from fast3r.cluster.slurm import SlurmConfig, map_shards, sbatch_script, slurm_executor
from tests.cluster import fake_slurm


def options(script: str) -> set[str]:
    marker = "#SBATCH --"
    lines = script.splitlines()
    return {line.removeprefix(marker) for line in lines if line.startswith(marker)}


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        (SlurmConfig(nodes=4), "nodes=4"),
        (SlurmConfig(gpus_per_node=8), "gpus-per-node=8"),
        (SlurmConfig(gpus_per_node=8), "ntasks-per-node=8"),
        (SlurmConfig(cpus_per_task=12), "cpus-per-task=12"),
        (SlurmConfig(memory_gb=1.5), "mem=1536M"),
        (SlurmConfig(hours=1.51), "time=91"),
        (SlurmConfig(partition="gpu"), "partition=gpu"),
        (SlurmConfig(account="vision"), "account=vision"),
        (SlurmConfig(name="base"), "job-name=base"),
        (SlurmConfig(signal_delay_s=120), "signal=USR2@120"),
        (SlurmConfig(extra={"mail-type": "END"}), "mail-type=END"),
        (SlurmConfig(extra={"constraint": "a100|h100"}), "constraint='a100|h100'"),
        (SlurmConfig(extra={"exclusive": ""}), "exclusive"),
        (SlurmConfig(), "requeue"),
        (SlurmConfig(), "open-mode=append"),
    ],
)
def test_the_script_asks_for(config, wanted) -> None:
    assert wanted in options(sbatch_script(config, "/jobs"))


def test_what_is_not_given_is_left_to_the_cluster() -> None:
    names = {option.split("=")[0] for option in options(sbatch_script(SlurmConfig(), "/jobs"))}
    assert not names & {"partition", "account", "qos", "constraint", "mem", "wckey"}


def test_without_gpus_there_is_one_process_on_each_machine() -> None:
    found = options(sbatch_script(SlurmConfig(nodes=2, gpus_per_node=0), "/jobs"))
    assert "ntasks-per-node=1" in found
    assert not any(option.startswith("gpus") for option in found)


def test_the_script_runs_its_setup_and_then_a_process_for_each_task() -> None:
    config = SlurmConfig(cpus_per_task=12, setup=("module load cuda", "export A=1"))
    script = sbatch_script(config, "/jobs")
    setup = script.index("module load cuda\nexport A=1\n")
    command = script.index("\nsrun ")
    assert setup < command
    assert "--cpus-per-task=12 --open-mode=append" in script[command:]
    assert script[command:].rstrip().endswith("-m submitit.core._submit /jobs")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"nodes": 0}, "nodes must be at least 1, got 0"),
        ({"gpus_per_node": -1}, "gpus_per_node must be at least 0, got -1"),
        ({"cpus_per_task": 0}, "cpus_per_task must be at least 1, got 0"),
        ({"hours": 0.05}, "signal_delay_s must be within the time limit of 180 s, got 300"),
        ({"name": "bash"}, "a job must not be named 'bash'"),
    ],
)
def test_values_that_make_no_job_are_refused(values, message) -> None:
    with pytest.raises(ValueError, match=message):
        SlurmConfig(**values)


def test_a_machine_without_slurm_is_refused(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    wanted = r"there is no sbatch and no srun on this machine: .* with launcher=local"
    with pytest.raises(ValueError, match=wanted):
        slurm_executor(SlurmConfig(), tmp_path)


def test_a_job_returns_what_its_function_returns(tmp_path, monkeypatch) -> None:
    fake_slurm.install(tmp_path / "slurm", monkeypatch)
    job = slurm_executor(SlurmConfig(gpus_per_node=0), tmp_path / "jobs").submit(divmod, 17, 5)
    assert job.job_id == "4242"
    assert fake_slurm.result(job, tmp_path / "slurm") == (3, 2)


def squares(numbers: list[int]) -> list[int]:
    return [number**2 for number in numbers]


def fewer(numbers: list[int]) -> list[int]:
    return numbers[1:]


def broken(numbers: list[int]) -> list[int]:
    raise KeyError(numbers[0])


@pytest.fixture
def local(tmp_path) -> submitit.LocalExecutor:
    return submitit.LocalExecutor(tmp_path / "jobs")


def test_results_come_back_in_order_of_the_items(local) -> None:
    assert map_shards(local, squares, range(7), jobs=3) == [0, 1, 4, 9, 16, 25, 36]


def test_no_items_are_no_jobs(local) -> None:
    assert map_shards(local, squares, [], jobs=3) == []
    assert not list(local.folder.glob("*.pkl"))


def test_there_are_no_more_jobs_than_items(local) -> None:
    assert map_shards(local, squares, [5], jobs=1000) == [25]
    assert len(list(local.folder.glob("*_submitted.pkl"))) == 1


def test_a_job_that_fails_says_where_and_why(local) -> None:
    with pytest.raises(submitit.core.utils.FailedJobError, match=r"KeyError: 4") as caught:
        map_shards(local, broken, [4], jobs=1)
    assert str(local.folder) in str(caught.value)


def test_a_result_too_few_is_refused(local) -> None:
    with pytest.raises(ValueError, match="3 items were given to a job, 2 came back"):
        map_shards(local, fewer, range(3), jobs=1)


def test_no_jobs_are_refused(local) -> None:
    with pytest.raises(ValueError, match="jobs must be at least 1, got 0"):
        map_shards(local, squares, range(3), jobs=0)
