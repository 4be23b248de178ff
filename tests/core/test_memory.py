"""How much memory is left."""

import subprocess
import sys

from hybridonn.core.memory import free_bytes


def test_a_process_s_own_limit_counts():
    assert 2**24 < free_bytes() < 2**50
    code = "import resource; resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30)); "
    code += "from hybridonn.core.memory import free_bytes; print(free_bytes())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 2**28 < int(done.stdout) < 2**30
