"""The scripts and files of the guide to clusters."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from tests.command import BRIEF, RUN, TRIALS, processes, states, wait_for_stages, wait_until_gone

PAGE = (Path(__file__).parents[2] / "docs" / "clusters.md").read_text(encoding="utf-8")
KINDS = ("bash", "yaml", "dockerfile")
SNIPPETS = {
    kind: re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE) for kind in KINDS
}


# What a script calls, as far as it is needed: here both machines of `srun` are this one.
STAND_INS = {
    "srun": """
while [[ $1 == --* ]]; do shift; done
SLURM_NODEID=0 "$@" & first=$!
[[ $1 == python ]] || { SLURM_NODEID=1 "$@" & second=$!; }
trap 'kill $first $second' TERM
while kill -0 $first 2> /dev/null; do wait $first; code=$?; done
exit $code
""",
    "scontrol": 'echo "$@" >> requeued',
    "python": f"""
[[ $1 == -c ]] && exec {sys.executable} "$@"
shift
exec {sys.executable} {RUN} "$@"
""",
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "to_each"),
    [
        pytest.param(SNIPPETS["bash"][0], True, id="one-machine"),
        pytest.param(SNIPPETS["bash"][1], False, id="several"),
    ],
)
def test_a_job_of_slurm_starts_is_queued_again_and_goes_on(
    tmp_path: Path, packs: Path, script: str, to_each: bool
) -> None:
    """SLURM's notice goes to all processes of a step, or, with B:, to the script alone."""
    for name, content in STAND_INS.items():
        file = tmp_path / "bin" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/bash\n{content}\n")
        file.chmod(0o755)
    with socket.create_server(("", 0)) as free:
        port = free.getsockname()[1]
    brief = f"{' '.join(BRIEF)} --workers 2 --trials {TRIALS}"
    script = script.replace("--data food-11 --max-epochs 2000", brief)
    (tmp_path / "job.sh").write_text(script.replace("6379", str(port)))
    programs = f"{tmp_path}/bin:{Path(sys.executable).parent}"
    environment = {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "SLURM_JOB_ID": "17",
        "XDG_CACHE_HOME": str(packs),
        "CUDA_VISIBLE_DEVICES": "",
    }

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["bash", "job.sh"], cwd=tmp_path, env=environment, start_new_session=True
        )

    job = start()
    wait_for_stages(tmp_path / "results" / "food-11", 1)
    if to_each:
        for pid, command in processes(job.pid).items():
            if pid != job.pid and "bin/srun" not in command:
                os.kill(pid, signal.SIGUSR1)
    else:
        job.send_signal(signal.SIGUSR1)
    assert job.wait(timeout=120) == 130
    assert (tmp_path / "requeued").read_text() == "requeue 17\n"
    wait_until_gone(job.pid)
    job = start()
    assert job.wait(timeout=300) == 0
    wait_until_gone(job.pid)
    assert len(states(tmp_path / "results" / "food-11")) == TRIALS


@pytest.mark.parametrize("script", SNIPPETS["bash"])
def test_scripts_are_bash(script: str) -> None:
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_the_launchers_file_fits_rays_schema() -> None:
    _, launcher = map(yaml.safe_load, SNIPPETS["yaml"])
    validate_config(prepare_config(launcher))


def test_the_head_of_a_ray_job_alone_has_volumes() -> None:
    job, _ = map(yaml.safe_load, SNIPPETS["yaml"])
    cluster = job["spec"]["rayClusterSpec"]
    head = cluster["headGroupSpec"]["template"]["spec"]
    (worker,) = cluster["workerGroupSpecs"]
    (container,) = head["containers"]
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert {volume["name"] for volume in head["volumes"]} == mounted
    assert "volumes" not in worker["template"]["spec"]
    (trains,) = worker["template"]["spec"]["containers"]
    assert trains["image"] == container["image"]
