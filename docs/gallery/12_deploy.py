"""Deploy to ONNX and C
====================

The digital backend of a finished run as files that run without torch: ONNX in single precision
and in 8-bit integers, and C for a microcontroller. It needs the extra ``deploy``, for C ``mcu``
too.
"""

# %%
import subprocess
from pathlib import Path

import hybridonn

spec = hybridonn.read_spec(settings=["name=deployed", "training.epochs=20"])
hybridonn.run(spec, "runs/deployed")


def shell(command):
    """Do a command as a terminal does, and print what it prints."""
    print("$", command)
    print(subprocess.run(command, shell=True, check=True, text=True, capture_output=True).stdout)


shell("hybridonn deploy runs/deployed --target c")
for path in sorted(Path("runs/deployed/deployed").iterdir()):
    print(f"{path.name:28} {path.stat().st_size / 1024:8.1f} kB")

# %%
# The file answers as the network does. The optics are not in it: what the camera saw is the input.
import numpy as np
import onnxruntime
import torch
from sklearn.datasets import load_digits

run = hybridonn.load_run("runs/deployed")
images = torch.from_numpy(load_digits().images[:200] / 16).float()[:, None]
with torch.no_grad():
    (features,) = run.frontend()(images)
    expected = run.student().backend((features,))
answers = {}
for path in sorted(Path("runs/deployed/deployed").glob("backend*.onnx")):
    options = onnxruntime.SessionOptions()  # 8-bit sums that do not saturate on older processors
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(path, options)
    (entry,) = session.get_inputs()
    logits = [session.run(None, {entry.name: one[None].numpy()})[0] for one in features]
    answers[path.name] = np.concatenate(logits)
    same = (answers[path.name].argmax(1) == expected.argmax(1).numpy()).mean()
    print(f"{path.name}: {same:.1%} of the labels as in torch")

# %%
import matplotlib.pyplot as plt

figure, axes = plt.subplots(1, len(answers), figsize=(9, 3.4), layout="constrained")
for axis, (name, logits) in zip(np.atleast_1d(axes), answers.items(), strict=True):
    axis.plot(expected.flatten(), logits.flatten() - expected.flatten().numpy(), ".", markersize=2)
    axis.set(title=name, xlabel="logits in torch", ylabel="difference of the file")
    axis.grid(alpha=0.3)

# %%
# What an image costs, by several assumptions of the energy of an operation:
shell("hybridonn cost runs/deployed")
