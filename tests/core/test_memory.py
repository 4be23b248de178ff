"""How much memory is left, and freed memory that is used again."""

import os
import platform
import subprocess
import sys

import pytest

from hybridonn.core.memory import free_bytes


def test_a_process_s_own_limit_counts():
    assert 2**24 < free_bytes() < 2**50
    code = "import resource; resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30)); "
    code += "from hybridonn.core.memory import free_bytes; print(free_bytes())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 2**28 < int(done.stdout) < 2**30


FAULTS = """
import resource, sys
from hybridonn.core.memory import keep_freed_memory
kept = keep_freed_memory()
import numpy as np
def use():
    parts = [np.ones(2**20) for _ in range(4)]
use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    use()
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator")
def test_freed_memory_is_used_again_unless_the_environment_says_otherwise():
    def count(**environment):
        code = [sys.executable, "-c", FAULTS]
        env = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")} | environment
        done = subprocess.run(code, capture_output=True, text=True, check=True, env=env)
        kept, faults = done.stdout.split()
        return kept, int(faults)

    kept, faults = count()
    assert kept == "True"
    assert faults < 100  # 10 times 32 MB: nothing was cleared anew
    kept, faults = count(MALLOC_TRIM_THRESHOLD_="131072")
    assert kept == "False"
    assert faults > 1000
