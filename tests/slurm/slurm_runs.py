"""The miniature on a real SLURM."""

import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field

import cluster_setup
import yaml
from conftest import ROOT, new_project

SOON = ("--slurm-init-seconds-before-status-checks", "2", "--latency-wait", "5")
"""For a cluster that is this machine."""


@dataclass
class Watch:
    """Samples of SLURM's state, two per second."""

    seen: list[dict[int, tuple[str, str]]] = field(default_factory=list)
    """At each call, the rule and the GPUs of each running job."""

    def record(self):
        """Record the running jobs."""
        now = {}
        for line in cluster_setup.call(
            "scontrol", "show", "job", "-d", "-o", check=False
        ).splitlines():
            facts = dict(part.split("=", 1) for part in line.split() if "=" in part)
            if facts.get("JobState") != "RUNNING":
                continue
            gpus = facts.get("GRES", "")
            index = gpus.partition("IDX:")[2].rstrip(")") if "gpu" in gpus else ""
            now[int(facts["JobId"])] = (facts.get("Comment", ""), index)
        self.seen.append(now)


class Run:
    """Snakemake on the cluster."""

    def __init__(self, folder, *arguments, watch=None):
        self.folder = folder
        self.command = ["snakemake", "--profile", "profiles/slurm", *SOON, *arguments]
        self.output = folder / "output.txt"
        self._watch = watch
        self._out = self.output.open("w")
        self.process = subprocess.Popen(
            self.command,
            cwd=folder,
            stdout=self._out,
            stderr=subprocess.STDOUT,
            env=cluster_setup.environment(),
            start_new_session=True,
        )
        if watch:
            threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self):
        while self.process.poll() is None:
            self._watch.record()
            time.sleep(0.5)

    def wait(self, *, status=0, seconds=600):
        """Wait for the end; return what the terminal shows, and after it Snakemake's own text."""
        try:
            found = self.process.wait(timeout=seconds)
        finally:
            self.kill()
        log = max(self.folder.glob(".snakemake/log/*.log"))
        output = f"{self.output.read_text()}\n{log.read_text()}"
        assert found == status, output
        return output

    def kill(self):
        """Kill it like a lost login node: jobs keep running."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        self._out.close()


def jobs(rule):
    """Return the numbers and states of SLURM's jobs of a rule that are not done."""
    lines = cluster_setup.call("squeue", "-h", "-o", "%i|%T|%k").splitlines()
    rows = [line.split("|") for line in lines]
    return {int(number): state for number, state, comment in rows if f"rule_{rule}" in comment}


def until(what, find, *, seconds=120):
    """Return what ``find`` returns as soon as that is something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := find():
            return found
        time.sleep(0.2)
    raise AssertionError(f"{what}: not within {seconds} s")


def project(folder, **changes):
    """Return a folder with the miniature, changed."""
    folder.mkdir(parents=True)
    new_project(folder)
    mini = yaml.safe_load((ROOT / "tests" / "mini.yaml").read_text())
    for key in ("variants", "ablations"):
        mini.pop(key)
    (folder / "mini.yaml").write_text(yaml.safe_dump({**mini, **changes}))
    return folder


def locally(folder, *arguments):
    """Run the same on this machine."""
    command = ["snakemake", *arguments, "--cores", "2", "--configfile", "mini.yaml"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
