"""A run folder with a student as it was drawn; what captures read of it and no more."""

from hybridonn.core.files import write_json, write_tensors
from hybridonn.networks.student import build_student
from hybridonn.pipeline.from_spec import lay_out_kernels
from hybridonn.pipeline.run_record import write_run_record
from hybridonn.pipeline.stage_folder import write_record
from hybridonn.spec import dump_spec, read_spec


def write_drawn_run(folder, settings=(), seed=0):
    """Write the run of a spec, of digits, into a folder, and return the folder."""
    spec = read_spec(None, (*settings, f"seed={seed}"))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "spec.yaml").write_text(dump_spec(spec))
    layout = lay_out_kernels(spec.optics, spec.student.kernels)
    write_json(folder / "layout" / "layout.json", layout.to_dict())
    student = build_student(spec.student, (1, 8, 8), 10, seed, spec.optics)
    write_tensors(folder / "student" / "weights.safetensors", student.state_dict())
    for stage in ("layout", "student"):
        write_record(folder / stage, "f", {})
    settle_run(folder, layout="f", student="f")
    return folder


def settle_run(folder, **hashes):
    """Write the record of a run whose stages have these fingerprints."""
    data = {"classes": list("0123456789"), "image_shape": [1, 8, 8]}
    write_run_record(folder, {"data": data, "hashes": hashes})
