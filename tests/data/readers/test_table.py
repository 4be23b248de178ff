"""What every data set of the table keeps to."""

import inspect
import subprocess
import sys

import pytest

from hybridonn import spec
from hybridonn.core.errors import DataError
from hybridonn.core.tables import resolve
from hybridonn.data.load import list_set
from hybridonn.data.readers.table import DATA_SETS, READER_CODE
from hybridonn.spec import Data
from hybridonn.tasks.table import TASKS


def stated(name, folder):
    return Data(name=name, folder=folder if DATA_SETS[name].folder == "required" else None)


@pytest.mark.parametrize("name", DATA_SETS)
def test_the_spec_takes_name_and_task_from_the_table(name, tmp_path):
    named = DATA_SETS[name]
    assert stated(name, tmp_path).task == named.task
    assert named.task in TASKS
    assert named.origin
    assert set(named.takes) <= set(Data.model_fields)


@pytest.mark.parametrize("name", DATA_SETS)
def test_a_reader_takes_a_request_or_a_folder_and_the_keys_of_its_set(name):
    named = DATA_SETS[name]
    parameters = list(inspect.signature(resolve(READER_CODE, name)).parameters)
    assert parameters[1:] == (list(named.takes) if named.image_files else [])


@pytest.mark.parametrize("name", [n for n, named in DATA_SETS.items() if named.image_files])
def test_an_absent_set_of_image_files_says_where_it_comes_from(name, tmp_path):
    data = stated(name, tmp_path / "absent")
    with pytest.raises(DataError, match=r"absent|data\.folder") as refused:
        list_set(data, tmp_path)
    assert data.folder or DATA_SETS[name].origin in str(refused.value)


def test_the_spec_knows_the_sets_without_torch():
    code = f"import sys, {spec.__name__}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
