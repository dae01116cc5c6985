#!/usr/bin/env python3
"""A local SLURM for tests: a node with two fake GPUs, and one without.

    python3 tests/slurm/cluster_setup.py start [--accounting]    install packages, start SLURM
    python3 tests/slurm/cluster_setup.py stop [--purge]          stop what it started

Both may be repeated. Root and Debian's packages are needed, systemd and cgroups are not. Everything
lies in AEPSL_SLURM (/tmp/aepsl-slurm), but for the link /etc/slurm/slurm.conf: Snakemake's plugin
takes SLURM_CONF out of the environment of the steps of a job.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

STATE = Path(os.environ.get("AEPSL_SLURM", "/tmp/aepsl-slurm"))
CONF = STATE / "etc" / "slurm.conf"
LINK = Path("/etc/slurm/slurm.conf")
MUNGE = STATE / "munge" / "socket"
DATABASE = STATE / "database" / "socket"
NODES = {"gpunode": 2, "cpunode": 0}
"""The GPUs of each node."""
CPUS = 8
"""Resources that each node declares."""
PACKAGES = {
    "slurmctld": "slurmctld",
    "slurmd": "slurmd",
    "sbatch": "slurm-client",
    "munged": "munge",
}
OF_ACCOUNTING = {"slurmdbd": "slurmdbd", "mariadbd": "mariadb-server"}
NULL = os.makedev(1, 3)

SLURM_CONF = """\
# Written by tests/slurm/cluster_setup.py
ClusterName=lab
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthInfo=socket={munge}
SlurmctldPort=16917
SlurmctldPidFile={state}/slurmctld.slurm-pid
SlurmdPidFile={state}/slurmd.%n.slurm-pid
SlurmctldLogFile={state}/log/slurmctld.log
SlurmdLogFile={state}/log/slurmd.%n.log
StateSaveLocation={state}/spool/slurmctld
SlurmdSpoolDir={state}/spool/%n
# Without cgroups a job is its process group, and its memory is watched, not limited.
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=2
JobAcctGatherParams=OverMemoryKill
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=256
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=5
# Seconds: squeue remembers what has ended, a job may take to end, a node may be away.
MinJobAge=300
KillWait=10
SlurmdTimeout=20
{accounting}
GresTypes=gpu
{nodes}
PartitionName=lab Nodes=ALL Default=YES MaxTime=INFINITE OverTimeLimit=0 State=UP
"""

SLURMDBD_CONF = """\
AuthInfo=socket={munge}
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort=16918
SlurmUser=root
LogFile={state}/log/slurmdbd.log
PidFile={state}/slurmdbd.slurm-pid
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm_lab
"""


class LabError(Exception):
    """SLURM cannot be had here."""


def environment() -> dict[str, str]:
    """Return the environment variables of the test cluster."""
    return os.environ | {"SLURM_CONF": str(CONF), "MYSQL_UNIX_PORT": str(DATABASE)}


def call(*command: str, check: bool = True, timeout: float = 30) -> str:
    """Run a command of the test cluster; return its output."""
    done = subprocess.run(
        command, env=environment(), text=True, capture_output=True, timeout=timeout, check=False
    )
    if check and done.returncode:
        raise LabError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def wait_for(what: str, ready: Callable[[], bool], *, seconds: float = 30) -> None:
    """Wait until something is ready."""
    until = time.monotonic() + seconds
    while True:
        try:
            if ready():
                return
        except (LabError, subprocess.TimeoutExpired):
            pass
        if time.monotonic() > until:
            raise LabError(f"{what} is not up after {seconds:g} s; see {STATE}/log")
        time.sleep(0.1)


def succeeds(*command: str) -> Callable[[], bool]:
    """Return a function that checks a command's exit status."""

    def ask() -> bool:
        call(*command, timeout=5)
        return True

    return ask


# Daemons: each in a session of its own, its number in a file


def _pid(name: str) -> int | None:
    """Return the process of a daemon, if it is there and ours."""
    try:
        pid = int((STATE / f"{name}.pid").read_text())
        marks = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return pid if f"SLURM_CONF={CONF}".encode() in marks else None


def start_daemon(name: str, *command: str) -> None:
    """Start a daemon that stays in the foreground, unless it runs."""
    if _pid(name):
        return
    with (STATE / "log" / f"{name}.out").open("ab") as out:
        process = subprocess.Popen(
            command,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    (STATE / f"{name}.pid").write_text(str(process.pid))


def stop_daemon(name: str, number: int = signal.SIGTERM, *, seconds: float = 20) -> None:
    """End a daemon that is ours, with SIGKILL if it takes too long."""
    for sent in (number, signal.SIGKILL):
        pid = _pid(name)
        if pid is None:
            break
        os.kill(pid, sent)
        until = time.monotonic() + seconds
        while _pid(name) and time.monotonic() < until:
            if _ended(pid):
                break
            time.sleep(0.1)
        else:
            continue
        break
    (STATE / f"{name}.pid").unlink(missing_ok=True)


def _ended(pid: int) -> bool:
    """Return whether a process is gone, or a child of ours that nobody has asked about."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return not Path(f"/proc/{pid}").exists()


# Parts


def install(programs: dict[str, str]) -> None:
    """Install the packages of the programs that are missing, without starting their services."""
    missing = sorted({package for program, package in programs.items() if not _program(program)})
    if not missing:
        return
    if os.geteuid() or not shutil.which("apt-get"):
        raise LabError(f"{', '.join(missing)} missing; root and apt-get are needed to install them")
    print("lab: installing", *missing, flush=True)
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    steps = (["update", "-q"], ["install", "-qy", "--no-install-recommends", *missing])
    try:
        for step in steps:
            done = subprocess.run(
                ["apt-get", *step], env=quiet, text=True, capture_output=True, check=False
            )
        if done.returncode:
            raise LabError(f"apt-get cannot install {', '.join(missing)}: {done.stderr.strip()}")
    finally:
        if ours:
            policy.unlink()


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def _nodes() -> tuple[list[str], list[str]]:
    """Return the lines of the nodes, and those of their GPUs: copies of /dev/null."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 9 // 10 // 2**20
    lines, devices = [], []
    for number, (name, gpus) in enumerate(NODES.items()):
        files = [STATE / "dev" / f"{name}{gpu}" for gpu in range(gpus)]
        for file in files:
            if not file.exists():
                os.mknod(file, 0o666 | 0o020000, NULL)
        devices += [f"NodeName={name} Name=gpu File={file}" for file in files]
        lines.append(
            f"NodeName={name} NodeHostname={socket.gethostname()} NodeAddr=127.0.0.1"
            f" Port={16920 + number} CPUs={CPUS} RealMemory={memory}"
            + (f" Gres=gpu:{gpus}" if gpus else "")
        )
    return lines, devices


def configure(*, accounting: bool) -> bool:
    """Write the configuration; return whether it is another one than before."""
    for folder in ("etc", "log", "dev", "munge", "database", "spool/slurmctld"):
        (STATE / folder).mkdir(parents=True, exist_ok=True)
    nodes, devices = _nodes()
    storage = "AccountingStorageType=accounting_storage/none"
    if accounting:
        storage = (
            "AccountingStorageType=accounting_storage/slurmdbd\nAccountingStorageHost=127.0.0.1\n"
            f"AccountingStoragePort=16918\nAccountingStoragePass={MUNGE}\n"
            "AccountingStorageTRES=gres/gpu\nAccountingStoreFlags=job_comment"
        )
    texts = {
        "slurm.conf": SLURM_CONF.format(
            host=socket.gethostname().partition(".")[0],
            munge=MUNGE,
            state=STATE,
            accounting=storage,
            nodes="\n".join(nodes),
        ),
        "gres.conf": "\n".join(devices) + "\n",
        "slurmdbd.conf": SLURMDBD_CONF.format(munge=MUNGE, state=STATE),
    }
    changed = False
    for name, text in texts.items():
        file = CONF.with_name(name)
        if not file.exists() or file.read_text() != text:
            changed = True
            file.touch(mode=0o600 if name == "slurmdbd.conf" else 0o644)
            file.write_text(text)
    if LINK.is_symlink() and not LINK.exists():
        LINK.unlink()  # of a lab that is gone
    if not LINK.exists():
        LINK.parent.mkdir(parents=True, exist_ok=True)
        LINK.symlink_to(CONF)
    elif LINK.resolve() != CONF.resolve():
        raise LabError(f"{LINK} is there and not the lab's: a real cluster is left alone")
    return changed


def _start_munge() -> None:
    key = STATE / "munge" / "key"
    if not key.exists():
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(128))
    MUNGE.parent.chmod(0o755)
    start_daemon(
        "munged",
        _program("munged") or "munged",
        "--foreground",
        "--force",
        f"--key-file={key}",
        f"--socket={MUNGE}",
        f"--pid-file={STATE}/munge/pid",
        f"--log-file={STATE}/log/munged.log",
        f"--seed-file={STATE}/munge/seed",
    )
    wait_for("munged", succeeds("munge", "-n", "-S", str(MUNGE)))


def _start_accounting() -> None:
    data = STATE / "database" / "data"
    shutil.chown(data.parent, "mysql")
    if not (data / "mysql").exists():
        call(
            "mariadb-install-db",
            "--no-defaults",
            "--user=mysql",
            f"--datadir={data}",
            "--skip-test-db",
            "--auth-root-authentication-method=socket",
            timeout=120,
        )
    start_daemon(
        "mariadbd",
        _program("mariadbd") or "mariadbd",
        "--no-defaults",
        "--user=mysql",
        f"--datadir={data}",
        f"--socket={DATABASE}",
        "--skip-networking",
        "--innodb-buffer-pool-size=64M",
        "--innodb-lock-wait-timeout=900",
    )
    wait_for(
        "mariadbd", succeeds("mariadb", "--no-defaults", "-S", str(DATABASE), "-e", "select 1")
    )
    start_daemon("slurmdbd", _program("slurmdbd") or "slurmdbd", "-D")
    wait_for("slurmdbd", succeeds("sacctmgr", "-n", "list", "cluster"))
    if "lab" not in call("sacctmgr", "-nP", "list", "cluster", "format=cluster").split():
        call("sacctmgr", "-Qi", "add", "cluster", "lab")
    if "lab" not in call("sacctmgr", "-nP", "list", "account", "format=account").split():
        call("sacctmgr", "-Qi", "add", "account", "lab", "Description=lab", "Organization=lab")
        call("sacctmgr", "-Qi", "add", "user", "root", "Account=lab")


def start_controller() -> None:
    """Start slurmctld."""
    start_daemon("slurmctld", _program("slurmctld") or "slurmctld", "-D")
    wait_for("slurmctld", lambda: "is UP" in call("scontrol", "ping", timeout=5))


def start_node(name: str) -> None:
    """Start the slurmd of a node."""
    start_daemon(f"slurmd.{name}", _program("slurmd") or "slurmd", "-D", "-N", name)


def states() -> dict[str, str]:
    """Return the state of each node."""
    lines = call("sinfo", "-hN", "-o", "%N %t", timeout=5).splitlines()
    return dict(line.split() for line in lines)


def ready() -> bool:
    """Return whether all nodes take jobs."""
    return all(states().get(name) in ("idle", "mix", "alloc") for name in NODES)


def running() -> bool:
    """Return whether the lab is up."""
    return _pid("slurmctld") is not None


def start(*, accounting: bool = False) -> None:
    """Start what is not running."""
    if os.geteuid():
        raise LabError("root is needed")
    install(PACKAGES | (OF_ACCOUNTING if accounting else {}))
    if configure(accounting=accounting):
        _stop_daemons()
    _start_munge()
    if accounting:
        _start_accounting()
    start_controller()
    for name in NODES:
        start_node(name)
        # Drained or down in a run that was cut off; of a node that is neither this is refused.
        call("scontrol", "update", f"NodeName={name}", "State=RESUME", check=False)
    wait_for("the nodes", ready, seconds=60)


def _stop_daemons() -> None:
    names = ["slurmctld", *(f"slurmd.{name}" for name in NODES)]
    for name in [*reversed(names), "slurmdbd", "mariadbd", "munged"]:
        stop_daemon(name)


def stop(*, purge: bool = False) -> None:
    """End the jobs, then the daemons."""
    if _pid("slurmctld"):
        call("scancel", "--partition=lab", check=False)
        try:
            wait_for("the end of the jobs", lambda: not call("squeue", "-h").strip())
        except LabError as error:
            print("lab:", error, file=sys.stderr)
    _stop_daemons()
    if LINK.is_symlink() and LINK.readlink() == CONF:
        LINK.unlink()
    if purge:
        shutil.rmtree(STATE, ignore_errors=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=("start", "stop"))
    parser.add_argument("--accounting", action="store_true", help="with a database: sacct works")
    parser.add_argument("--purge", action="store_true", help="remove state, logs and job history")
    given = parser.parse_args(arguments)
    try:
        if given.task == "start":
            start(accounting=given.accounting)
            print("lab: ready;", *(f"{name} {state}" for name, state in states().items()))
        else:
            stop(purge=given.purge)
    except LabError as error:
        sys.exit(f"lab: {error}")


if __name__ == "__main__":
    main()
