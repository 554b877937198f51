from __future__ import annotations

import os
from pathlib import Path

import pytest

from vrmpy_tune.regular import check_regular


def test_pipes_and_devices_are_refused_and_files_and_links_to_them_are_not(tmp_path: Path) -> None:
    pipe, file, link = (tmp_path / name for name in ("pipe", "file", "link"))
    os.mkfifo(pipe)
    file.touch()
    link.symlink_to(file)
    for good in (file, link, tmp_path):
        check_regular(good)
    for bad in (pipe, Path("/dev/zero")):
        with pytest.raises(OSError, match="no regular file"):
            check_regular(bad)
