"""FAT32 is refused only where a file would not fit; where there is no journal, the disk is to be ejected first."""

import os
from pathlib import Path

import pytest

from alx.errors import SpaceError
from alx.steps import drive, file_system, outgoing

GIB = 1 << 30


def mountinfo(tmp_path, kind, number=None):
    """A table of mounts, as `proc(5)` has it, with the folder's own device as one of that kind."""
    device = tmp_path.stat().st_dev
    number = number or f"{os.major(device)}:{os.minor(device)}"
    table = tmp_path / f"mountinfo-{kind}"
    table.write_text(
        "22 1 0:20 / / rw,relatime shared:1 - overlay overlay rw\n"
        f"30 22 {number} / /media/disk rw,nosuid,nodev shared:2 - {kind} /dev/sdb1 rw,uid=1000\n"
    )
    return table


@pytest.mark.parametrize(("kind", "told"), [("vfat", "FAT32"), ("msdos", "FAT"), ("exfat", "exFAT")])
def test_without_a_journal_the_disk_is_ejected_first(tmp_path, kind, told):
    found = drive.file_system(tmp_path, mountinfo(tmp_path, kind))
    assert found == kind
    (said,) = file_system.removal([found])
    assert f"{told} keeps no journal" in said
    assert said.startswith("eject the disk")
    assert file_system.removal(["ext4", found, None, found]) == [said]


@pytest.mark.parametrize("kind", ["ext4", "fuseblk", "9p", "ntfs3", None])
def test_where_there_is_a_journal_or_nobody_knows_nothing_is_said_or_refused(tmp_path, kind):
    found = None if kind is None else drive.file_system(tmp_path, mountinfo(tmp_path, kind))
    assert file_system.removal([found]) == ["safe to remove the disk"]
    assert file_system.removal([found, None]) == ["safe to remove the disks"]
    file_system.refuse_unfit(found, tmp_path, {"f": 5 * GIB, **dict.fromkeys(map(str, range(70_000)), 1)})


@pytest.mark.parametrize("label", [*(f"ST{end}ICK" for end in "\u2028\x85\r\x0b\x0c\x1c"), "A\u20281 1 {} / / - ext4"])
def test_no_label_of_a_disk_hides_its_file_system(tmp_path, label):
    device = tmp_path.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    label = label.format(number).replace(" ", "\\040")  # as the kernel writes it
    table = tmp_path / "mountinfo"
    table.write_text(f"30 22 {number} / /media/{label} rw shared:2 - exfat /dev/sdb1 rw\n", encoding="utf-8")
    assert drive.file_system(tmp_path, table) == "exfat"


def test_a_file_system_that_no_table_names_is_unknown(tmp_path):
    cut = tmp_path / "cut"
    cut.write_text(mountinfo(tmp_path, "vfat").read_text().partition(" - vfat")[0])
    assert drive.file_system(tmp_path, cut) is None
    assert drive.file_system(tmp_path, mountinfo(tmp_path, "vfat", "8:99")) is None
    assert drive.file_system(tmp_path, Path("/nowhere")) is None


def test_fat32_holds_a_file_of_four_gib_less_a_byte_and_no_more(tmp_path):
    file_system.refuse_unfit("vfat", tmp_path, {"data/f": 4 * GIB - 1})
    with pytest.raises(SpaceError, match="'data/f' has 4294967296, 4\\.3 GB"):
        file_system.refuse_unfit("vfat", tmp_path, {"data/e": 1, "data/f": 4 * GIB})
    file_system.refuse_unfit("exfat", tmp_path, {"data/f": 4 * GIB})


def test_a_folder_of_fat32_has_2_mib_for_its_names(tmp_path):
    """65,536 entries of 32 bytes; a name of 31 characters takes three of 13, and one of its own; `.` and `..` one each."""
    names = [f"data/c{i:05d}-p0000.safetensors.zst.ag" for i in range(16_384)]
    assert {len(Path(n).name) for n in names} == {31}
    file_system.refuse_unfit("vfat", tmp_path, dict.fromkeys(names[:16_383], 1))
    file_system.refuse_unfit("vfat", tmp_path, dict.fromkeys([*names[:16_383], "manifest.json", "round.sig"], 1))
    with pytest.raises(SpaceError, match="65538 with their long names") as raised:
        file_system.refuse_unfit("vfat", tmp_path, dict.fromkeys(names, 1))
    assert "several disks" in raised.value.hint
    file_system.refuse_unfit("exfat", tmp_path, dict.fromkeys(names, 1))


def test_an_export_asks_what_the_disk_is(stage):
    """Small bundles fit on FAT32; what kind of disk it was is told."""
    world = stage("answered")
    target = world.root / "stick"
    target.mkdir()
    table = mountinfo(target, "vfat")
    with world.site("provider").locked("export") as now:
        assert outgoing.export(now, target, mounts=table).file_system == "vfat"
        assert outgoing.export(now, world.disk).file_system == drive.file_system(world.disk)
