"""A run folder with a student as it was drawn; what captures read of it and no more."""

from hybridonn.core.files import write_json, write_tensors
from hybridonn.data import load_dataset
from hybridonn.networks.student import build_student
from hybridonn.pipeline.from_spec import lay_out_kernels
from hybridonn.pipeline.run_record import write_run_record
from hybridonn.pipeline.stage_folder import write_record
from hybridonn.spec import dump_spec, read_spec


def write_drawn_run(folder, settings=(), seed=0):
    """Write the run of a spec into a folder, and return the folder."""
    spec = read_spec(None, (*settings, f"seed={seed}"))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "spec.yaml").write_text(dump_spec(spec))
    layout = lay_out_kernels(spec.optics, spec.student.kernels)
    write_json(folder / "layout" / "layout.json", layout.to_dict())
    dataset = load_dataset(spec.data)
    classes, shape = dataset.classes, dataset.image_shape
    student = build_student(spec.student, shape, len(classes), seed, spec.optics, spec.task)
    write_tensors(folder / "student" / "weights.safetensors", student.state_dict())
    for stage in ("layout", "student"):
        write_record(folder / stage, "f", {})
    settle_run(folder, classes, shape, layout="f", student="f")
    return folder


def settle_run(folder, classes="0123456789", shape=(1, 8, 8), **hashes):
    """Write the record of a run whose stages have these fingerprints."""
    data = {"classes": list(classes), "image_shape": list(shape)}
    write_run_record(folder, {"data": data, "hashes": hashes})
