"""Plan a study on a cluster
=========================

A study is a list of independent runs. The same command does them one after another, on the
processes of one machine, on a Dask cluster or as SLURM jobs, and goes on where it was killed.
"""

# %%
# Methods on paired seeds, done by two worker processes. On a cluster ``--scheduler DIR`` or
# ``--slurm --workers 64`` takes the place of ``--workers 2``.
import subprocess
from pathlib import Path

SETTINGS = "--set training.epochs=25 --set data.train_images=300 --set name=study"


def shell(command):
    """Do a command as a terminal does, and print what it prints."""
    print("$", command)
    print(subprocess.run(command, shell=True, check=True, text=True, capture_output=True).stdout)


shell(f"hybridonn compare {SETTINGS} --methods none,kd,ntkd --seeds 3 --workers 2 --out runs/study")

# %%
# Each run has written one row into a file of its own, in ``runs/study/rows``, and the tables are
# made of these. So a worker, or the whole study, can be killed at any moment; the same command goes
# on, and with ``--seeds 20`` it trains the 17 that are missing.
import csv

import matplotlib.pyplot as plt
import numpy as np

rows = list(csv.DictReader(Path("runs/study/comparison.csv").read_text().splitlines()))
figure, axis = plt.subplots(figsize=(6, 3.4), layout="constrained")
for seed in sorted({row["seed"] for row in rows}):
    runs = [row for row in rows if row["seed"] == seed]
    scores = [100 * float(row["accuracy"]) for row in runs]
    axis.plot([row["method"] for row in runs], scores, "o-", label=f"seed {seed}")
axis.set(xlabel="method", ylabel="test accuracy in %")
axis.legend()

# %%
# How long will a large study take? With R runs of t seconds on W workers, and s seconds for a
# worker to start, about R t / W + s, as long as no worker waits for the teacher, which is made
# once. What limits it then: :doc:`studies </studies>`.
workers = np.array([1, 2, 4, 8, 16, 32, 64, 128, 256])
figure, axis = plt.subplots(figsize=(6, 3.4), layout="constrained")
for seconds, name in ((3, "digits"), (222, "CIFAR-10, 5,000 images")):
    hours = (10000 * seconds / workers + 3) / 3600
    axis.loglog(workers, hours, "o-", label=f"{name}: {seconds} s a run")
axis.set(xlabel="workers of one core", ylabel="hours for 10,000 runs")
axis.grid(alpha=0.3, which="both")
axis.legend()
