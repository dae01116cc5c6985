"""Linux and macOS work; Windows is told about WSL. What macOS lacks is removed from Python here."""

import ast
import json
import os
import platform
import subprocess
import sys

import pytest
from conftest import ROOT

LACKING = {
    "errno": """EADV EBADE EBADFD EBADR EBADRQC EBADSLT EBFONT ECHRNG ECOMM EDEADLOCK EDOTDOT EISNAM
        EKEYEXPIRED EKEYREJECTED EKEYREVOKED EL2HLT EL2NSYNC EL3HLT EL3RST ELIBACC ELIBBAD ELIBEXEC
        ELIBMAX ELIBSCN ELNRNG EMEDIUMTYPE ENAVAIL ENOANO ENOCSI ENOKEY ENOMEDIUM ENONET ENOPKG
        ENOTNAM ENOTUNIQ EREMCHG EREMOTEIO ERESTART ERFKILL ESTRPIPE EUCLEAN EUNATCH EXFULL""",
    "os": """CLONE_FS EFD_CLOEXEC GRND_NONBLOCK MFD_CLOEXEC O_DIRECT O_LARGEFILE O_NOATIME O_PATH
        O_RSYNC O_TMPFILE POSIX_FADV_SEQUENTIAL POSIX_FADV_WILLNEED P_PIDFD RWF_NOWAIT SCHED_BATCH
        SCHED_IDLE SCHED_RESET_ON_FORK SPLICE_F_MOVE XATTR_CREATE copy_file_range eventfd fdatasync
        getrandom getresgid getresuid getxattr listxattr memfd_create pidfd_open pipe2 posix_fadvise
        posix_fallocate removexattr sched_getaffinity sched_getparam sched_getscheduler sched_param
        sched_rr_get_interval sched_setaffinity sched_setparam sched_setscheduler setns setresgid
        setresuid setxattr splice timerfd_create unshare waitid""",
    "fcntl": """F_ADD_SEALS F_GETLEASE F_GETPIPE_SZ F_GETSIG F_NOTIFY F_OFD_GETLK F_OFD_SETLK
        F_OFD_SETLKW F_SETLEASE F_SETPIPE_SZ F_SETSIG LOCK_MAND LOCK_READ LOCK_RW LOCK_WRITE""",
    "resource": """RLIMIT_MSGQUEUE RLIMIT_NICE RLIMIT_OFILE RLIMIT_RTPRIO RLIMIT_RTTIME
        RLIMIT_SIGPENDING RUSAGE_THREAD prlimit""",
    "select": "EPOLLERR EPOLLHUP EPOLLIN EPOLLOUT epoll",
    "signal": "SIGCLD SIGPOLL SIGPWR SIGRTMAX SIGRTMIN SIGSTKFLT pidfd_send_signal sigtimedwait"
    " sigwaitinfo",
    "socket": "AF_ALG AF_CAN AF_NETLINK AF_PACKET AF_TIPC AF_VSOCK MSG_CMSG_CLOEXEC MSG_CONFIRM"
    " MSG_MORE SOCK_CLOEXEC SOCK_NONBLOCK SO_BINDTODEVICE SO_MARK TCP_QUICKACK TCP_USER_TIMEOUT",
    "time": "CLOCK_BOOTTIME CLOCK_TAI pthread_getcpuclockid",
}
"""Names that Python has on Linux and not on macOS: "Availability" in its documentation."""

NAMES = {f"{module}.{name}" for module, text in LACKING.items() for name in text.split()}


def names_used(tree):
    """Return the attributes of modules that a file uses, and the names that it imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield f"{node.value.id}.{node.attr}"
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_no_name_is_used_that_macos_lacks():
    example = ast.parse("from errno import EREMOTEIO\nos.sched_getaffinity(0)")
    assert len(NAMES & set(names_used(example))) == 2
    folders = ("aepsl", "snakemake_logger_plugin_aepsl")
    files = [ROOT / "start.py", *(file for top in folders for file in ROOT.glob(f"{top}/**/*.py"))]
    assert not {
        f"{file}: {name}"
        for file in files
        for name in NAMES & set(names_used(ast.parse(file.read_text())))
    }


ON_A_MAC = """
import importlib, json, os, pathlib, pkgutil, sys

def everything():
    import aepsl, snakemake_logger_plugin_aepsl.display
    for module in pkgutil.walk_packages(aepsl.__path__, "aepsl."):
        if module.name != "aepsl.__main__":
            importlib.import_module(module.name)

everything()  # loads other libraries as they are on this system
for name in [name for name in sys.modules if name.partition(".")[0].endswith("aepsl")]:
    del sys.modules[name]
for name in json.loads(sys.argv[1]):
    module, _, attribute = name.partition(".")
    vars(importlib.import_module(module)).pop(attribute, None)
sys.platform = "darwin"
opened = pathlib.Path.open
pathlib.Path.open = lambda path, *given, **options: opened(
    pathlib.Path("/absent") if path.is_relative_to("/proc") else path, *given, **options
)
everything()

from aepsl.config.presets import expanded, merged
from aepsl.config.root import Config
from aepsl.device import pick_device
from aepsl.errors import system_error
from aepsl.host import cpu
from aepsl.precision import bfloat16_pays
from aepsl.workflow.plan import Plan

default = expanded({"base": "scenes"})
written_out = merged(Config.model_validate(default).model_dump(mode="json"), {"base": None})
for config in (default, written_out):
    plan = Plan(config)
    plan.check_files()
    options = plan.resources("root", "device", "cache", mem_mb=1, runtime=1)["options"]
    print(options(type("Wildcards", (), {"name": "main"})))
print(pick_device("auto"), bfloat16_pays(pick_device("cpu")), cpu())
print("does not respond" in str(system_error(OSError(5, "", "x"))))
"""


def test_everything_is_imported_and_planned_as_on_macos(tmp_path):
    result = subprocess.run(
        [sys.executable, "-c", ON_A_MAC, json.dumps(sorted(NAMES))],
        cwd=tmp_path,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-2:] == [f"cpu False ({platform.machine()!r}, [])", "True"]


@pytest.mark.parametrize(
    "command", ["import aepsl.cli", "import runpy; runpy.run_path('start.py', run_name='__main__')"]
)
def test_windows_is_told_about_wsl(command):
    code = f"import sys; sys.platform = 'win32'; sys.modules['fcntl'] = None; {command}"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert result.stderr.startswith("aepsl: Windows needs WSL")
    assert result.stderr.count("\n") == 1
