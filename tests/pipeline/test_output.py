"""What commands say on an output that is not UTF-8, and where nothing can be written."""
import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from predelinquency.ops import cli


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_character_that_the_output_cannot_show_is_replaced(encoding:str, project:Path)->None:
    command = [Path(sys.executable).parent/"predelinquency", "doctor"]
    done = subprocess.run(command, cwd=project, env={**os.environ, "PYTHONIOENCODING": encoding}, capture_output=True)
    assert b"foresaw" not in done.stderr, done.stderr
    assert b"? Python" in done.stdout or b"?  Python" in done.stdout, done.stdout


def test_a_folder_that_cannot_be_written_is_named_with_its_remedy()->None:
    said = str(cli._unwritten(OSError(errno.EROFS, "Read-only file system", "data/reports")))
    assert "data/reports: could not read or write" in said
    assert "--root" in said
