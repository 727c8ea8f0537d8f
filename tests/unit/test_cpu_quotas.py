"""CPU quotas: files of both versions of cgroups, and what an operator reads without them."""

import os
from pathlib import Path

import pytest

from waitline.kernel.errors import Misconfigured
from waitline_bench import cpu_quotas
from waitline_bench.cpu_quotas import CpuQuotas

OWN = f"waitline-bench-{os.getpid()}-"


def test_version_1_has_a_file_for_the_period_and_one_for_the_quota(tmp_path: Path) -> None:
    CpuQuotas(tmp_path).limit("a", [], 0.15)
    group = tmp_path / f"{OWN}a"
    assert (group / "cpu.cfs_period_us").read_text() == "10000"
    assert (group / "cpu.cfs_quota_us").read_text() == "1500"


def test_version_2_has_one_file_for_both(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu\n")
    CpuQuotas(tmp_path).limit("a", [7], 0.2)
    group = tmp_path / f"{OWN}a"
    assert (group / "cpu.max").read_text() == "2000 10000"
    assert (group / "cgroup.procs").read_text() == "7"


@pytest.mark.parametrize(
    ("mounts", "folder"),
    [
        pytest.param("cpu {root}/1 cgroup rw,cpu 0 0\n", "1", id="version 1"),
        pytest.param("c {root}/1 cgroup rw,cpuacct,cpu 0 0\n", "1", id="with another controller"),
        pytest.param("c {root}/2 cgroup2 rw 0 0\n", "2", id="version 2"),
        pytest.param(
            "c {root}/0 cgroup2 rw 0 0\ncpu {root}/1 cgroup rw,cpu 0 0\n",
            "1",
            id="version 2 without the controller, and version 1",
        ),
    ],
)
def test_the_controller_is_found(tmp_path: Path, mounts: str, folder: str) -> None:
    for name, controllers in (("0", "memory"), ("2", "memory cpu")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cgroup.subtree_control").write_text(controllers)
    assert cpu_quotas.mounted(mounts.format(root=tmp_path)) == tmp_path / folder


def test_without_the_controller_the_message_says_how_to_mount_it() -> None:
    mounts = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\na /sys/fs/cgroup/cpuacct cgroup rw,cpuacct 0 0\n"
    with pytest.raises(Misconfigured, match="mount -t cgroup -o cpu"):
        cpu_quotas.mounted(mounts)


def test_a_folder_that_takes_no_groups_is_refused(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    with pytest.raises(Misconfigured, match="run this as root"), CpuQuotas(gone):
        pass


def test_groups_of_killed_commands_are_removed(tmp_path: Path) -> None:
    # Above the largest process id.
    left, other = tmp_path / "waitline-bench-4194305-a", tmp_path / "somebody"
    for folder in (left, other):
        folder.mkdir()
    running = tmp_path / f"waitline-bench-{os.getppid()}-a"
    running.mkdir()
    CpuQuotas(tmp_path)
    assert (left.exists(), other.exists(), running.exists()) == (False, True, True)
