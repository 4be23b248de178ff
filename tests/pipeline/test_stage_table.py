"""Which stages are done anew when a key of the spec or a file changes.

What is expected stands here, apart from what the stages declare: what a key touches first, and
which stage reads which. That no stage reads more than it declares is not believed but impossible,
see :func:`hybridonn.spec.narrow`.
"""

import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Literal, get_args, get_origin

import numpy as np
import pytest
import torch

from hybridonn.compensation.acquisition.capture_dataset import (
    CaptureDataset,
    name_image,
    write_captures,
)
from hybridonn.core.errors import ArtefactError, HybridonnError, SpecError
from hybridonn.core.files import read_arrays, write_arrays
from hybridonn.core.progress import Silent
from hybridonn.core.tables import NameOf
from hybridonn.data import load_dataset
from hybridonn.data.dataset import Dataset, ImageSet, hash_parts
from hybridonn.optics.meta_atoms.pillars import default_library
from hybridonn.pipeline.stage import Stage, complete, mark_of
from hybridonn.pipeline.stage_folder import Finished
from hybridonn.pipeline.stage_table import STAGES
from hybridonn.pipeline.stages.compensated_on_captures import COMPENSATED_ON_CAPTURES
from hybridonn.spec import Section, Spec, UndeclaredReadError, narrow, read_spec, validate
from hybridonn.tasks.segmentation import Segmentation

CHIP = (
    "name=chip",
    "optics.metasurface={}",
    "fabrication.preset=paper-mnist",
    "compensation={fractions: [0.3]}",
    "distillation.baseline=true",
    "training={views: 2, augmentation: {crop_pixels: 2}}",
)
KERNELS = (
    "fabrication.preset=paper-mnist",
    "compensation={}",
    "distillation={method: kd, robust: true}",
    "training.augmentation.shift_pixels=1",
)
COHERENT = ("optics.frontend=four_f", "distillation.method=none", "compensation={}")
COHERENT_CHIP = (
    "optics.frontend=four_f",
    "fabrication.preset=four-f-mnist",
    "distillation.method=none",
    "compensation={}",
)
MASKS = (
    "task=segmentation",
    "data={name: dsb2018}",
    "student={name: polychromatic_segmentation}",
    "teacher={name: u-net}",
)
MEASURED = (
    "optics.frontend=measured",
    f"optics.measured={{psfs: {__file__}, pixels_per_scene_pixel: 2}}",
)
BASES = {
    "a chip": CHIP,
    "a chip, end to end": (
        *CHIP,
        "optics.strategy=end-to-end",
        "fabrication={preset: electron-beam}",
    ),
    "robust kernels, live": KERNELS,
    "coherent, without transfer": COHERENT,
    "a coherent chip": COHERENT_CHIP,
    "masks": MASKS,
    "measured optics": MEASURED,
    "plain": (),
}

# What reads a stage; a stage that is not there reads nothing.
READ_BY = {
    "teacher": {"alignment", "teacher_targets", "student", "baseline", "compensated", "captures"},
    "alignment": {"student", "baseline"},
    "teacher_targets": {"student"},
    "student": {"metasurface", "fabricated", "compensated", "mask_overlays", "captures"},
    "metasurface": {"fabricated", "compensated", "captures"},
}
ANY_STUDENT = {"student", "baseline"}
IMAGES = {"estimate", "teacher", "alignment", "teacher_targets", *ANY_STUDENT}
PLACES = [
    f"optics.{name}_mm"
    for name in ("metasurface_width", "metasurface_height", "kernel_site", "gap", "wafer_diameter")
]
# What a key touches first; the longest beginning of a key counts.
TOUCHED = {
    "": set(),
    "seed": ANY_STUDENT | {"mask_overlays"},
    "task": IMAGES,
    "data": IMAGES,
    "data.train_images": IMAGES - {"teacher", "alignment"},
    "data.resize": set(),  # nothing has to be resized here
    "data.skip_bad": set(),
    **{key: {"layout", "metasurface"} for key in PLACES},
    "optics": {"metasurface"},
    "optics.frontend": ANY_STUDENT,
    "optics.measured": ANY_STUDENT,
    "optics.sensor": {"metasurface", "fabricated", "compensated"},
    "student": {"estimate", *ANY_STUDENT},
    "student.code_folder": set(),  # not where code lies counts, but what it says
    "student.kernels": {"layout", "estimate", *ANY_STUDENT},
    "estimate": {"estimate"},
    "teacher": {"teacher"},
    "teacher.code_folder": set(),  # not where code lies counts, but what it says
    "distillation": ANY_STUDENT,
    "distillation.method": {"student", "teacher_targets"},
    "distillation.kd_weight": {"student"},
    "distillation.cwd_weight": set(),  # of another method
    "distillation.ntk_weight": {"student"},
    "distillation.own_weight": set(),  # a method of the table has no term of the user's
    "distillation.code_folder": set(),
    "compensation.distillation.code_folder": set(),
    "distillation.temperature": {"student"},
    "distillation.tangent": {"student"},
    "distillation.tangent.teacher_layers": {"student", "teacher_targets"},
    "distillation.tangent.probes": {"alignment", "teacher_targets", *ANY_STUDENT},
    "distillation.baseline": {"baseline"},
    "training": ANY_STUDENT,
    "training.augmentation": ANY_STUDENT | {"teacher_targets"},
    "training.views": ANY_STUDENT | {"teacher_targets"},
    "training.precision": ANY_STUDENT | {"teacher_targets"},
    "training.tensorboard": set(),
    "teacher.training.tensorboard": set(),
    "compensation.training.tensorboard": set(),
    "training.device": ANY_STUDENT | {"teacher", "teacher_targets", "alignment"},
    "tuned": set(),
    "tuned.none": {"baseline"},
    "tuned.none.temperature": set(),  # of what is transferred, and nothing is
    "tuned.none.kd_weight": set(),
    "tuned.none.cwd_weight": set(),
    "tuned.none.ntk_weight": set(),
    "tuned.none.own_weight": set(),
    "fabrication": {"fabricated", "compensated"},
    "compensation": {"compensated", "captures"},
}
UNUSED: set[str] = set()
ERRORS_OF_KERNELS = (
    *("kernel_noise_fraction", "defocus_pixels", "brightness_fraction", "shift_pixels"),
    *("rotation_degrees", "crosstalk_fraction"),
)
# Of images that are not changed, there are no views.
STILL = {
    "training.augmentation.crop_edge": ANY_STUDENT,
    "training.augmentation.randaugment_magnitude": ANY_STUDENT,
    "training.views": ANY_STUDENT,
}
WITHOUT_TRANSFER = {
    "optics.four_f": ANY_STUDENT,
    "optics.wavelengths_nm": ANY_STUDENT,
    "distillation.kd_weight": UNUSED,
    "distillation.ntk_weight": UNUSED,
    "distillation.temperature": UNUSED,
    "distillation.tangent": UNUSED,
    "distillation.tangent.teacher_layers": UNUSED,
    "distillation.tangent.probes": ANY_STUDENT | {"alignment"},
    "distillation.method": ANY_STUDENT,  # the same answers serve KD
    **STILL,
}
# Where a base differs.
ELSEWHERE = {
    "robust kernels, live": {
        # Who is whose neighbour decides whose light leaks where.
        **{key: ANY_STUDENT | {"layout", "fabricated"} for key in PLACES},
        **{f"fabrication.{name}": ANY_STUDENT | {"fabricated"} for name in ERRORS_OF_KERNELS},
        "fabrication.stray_light": UNUSED,  # there is nothing that it could act on
        "training.augmentation": ANY_STUDENT,  # no answer of the teacher is stored
        "distillation.method": ANY_STUDENT,
        "distillation.tangent.probes": ANY_STUDENT | {"alignment"},
        "distillation.ntk_weight": UNUSED,
        "distillation.tangent": UNUSED,
        "distillation.tangent.teacher_layers": UNUSED,
    },
    "coherent, without transfer": WITHOUT_TRANSFER,
    "a coherent chip": {
        **WITHOUT_TRANSFER,
        **{key: {"layout", "fabricated", "compensated"} for key in PLACES},
    },
    # Beside branches the other optics are lenses, of which there is no estimate.
    "masks": {
        "optics.frontend": {"estimate", *ANY_STUDENT},
        # Of pixels, which are the default, no kernel is stored.
        "distillation.tangent.contraction": {"student", "teacher_targets"},
        "distillation.tangent.teacher_layers": ANY_STUDENT,
        "distillation.tangent.probes": ANY_STUDENT | {"alignment"},
        "distillation.method": ANY_STUDENT,
        **STILL,
    },
    "measured optics": STILL,
    "plain": STILL,
}

# What can be changed only together with other keys, or not at all. Of the data, stages see the
# images and what they are called, nothing else.
ALONE_REFUSED = {
    *("task", "data.name", "data.folder", "data.variant", "data.mask_classes", "data.box_classes"),
    *("data.bit_depth", "student.backend", "student.backend_arguments"),
    "compensation.distillation.robust",
}
# Of several other values, those that make a difference here.
PREFERRED = {
    "data.colour": ("rgb",),
    "data.size_pixels": ([10, 10],),
    "data.train_images": (300,),
    "distillation.method": ("kd", "ntkd"),
    "optics.measured.psfs": (str(Path(pytest.__file__)),),
    "optics.metasurface.library": (str(Path(__file__)),),
    "student.branches": (
        [{"kernels": 24}, {"kernels": 16, "binning": 2}, {"kernels": 16, "binning": 4}],
    ),
    "teacher.weights": (str(Path(__file__)),),
}


@pytest.fixture(scope="module")
def digits():
    return load_dataset(read_spec(None).data)


@pytest.fixture(scope="module")
def masks():
    dice = torch.Generator().manual_seed(0)
    parts = {
        name: ImageSet(
            torch.randint(0, 256, (4, 3, 8, 8), generator=dice, dtype=torch.uint8),
            torch.randint(0, 2, (4, 8, 8), generator=dice, dtype=torch.uint8),
        )
        for name in ("train", "student_train", "validation", "test")
    }
    return Dataset(
        "masks", ("a", "b"), checksum=hash_parts(("a", "b"), parts), task=Segmentation(), **parts
    )


def marks(spec, dataset, captures=None):
    """The fingerprints of all stages that a spec wants, by name."""
    done = {}
    for stage in STAGES:
        if stage.wanted(spec):
            mark = mark_of(stage, spec, dataset, done)
            done[stage.name] = Finished(Path(stage.name), mark, {}, 0.0, True)
    found = {name: stage.fingerprint for name, stage in done.items()}
    if captures:
        found["captures"] = mark_of(
            COMPENSATED_ON_CAPTURES.with_options(captures=captures), spec, dataset, done
        )
    return found


def changed(before, after):
    return {name for name in before | after if before.get(name) != after.get(name)}


def downstream(touched, there):
    """All stages that are done anew once some are."""
    found, left = set(), {name for name in touched if name in there}
    while left:
        found |= left
        left = {name for one in left for name in READ_BY.get(one, ()) if name in there} - found
    return found


def leaves(tree, prefix=""):
    """The keys of a spec that have values, not keys of their own."""
    for key, value in tree.items():
        whole = f"{prefix}{key}"
        if isinstance(value, dict) and value and whole != "teacher.arguments":
            yield from leaves(value, f"{whole}.")
        else:
            yield whole, value


def choices(annotation):
    """All values of the Literals in an annotation."""
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [one for part in get_args(annotation) for one in choices(part)]


def section_of(field):
    """The section that a field holds, if it holds one and not a list of them."""
    kinds = [field.annotation]
    kinds += [] if get_origin(field.annotation) is tuple else get_args(field.annotation)
    return next((k for k in kinds if isinstance(k, type) and issubclass(k, Section)), None)


def others(key, value):
    """Other values that a key might have."""
    model, field = Spec, None
    for name in key.split("."):
        field = model.model_fields[name]
        model = section_of(field)
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int | float):
        found = [value + 1, value + 2, value - 1, value * 2, value / 2, 0.5, 0.01, 3.0]
    else:
        found = [{"width": 7}, {}, {"preset": "paper-mnist"}, ["a"], ["kd"], [500.0], [7], [0.5]]
        found += [1, 3, "resnet18", "other", 0.5]
    named = [name for one in field.metadata if isinstance(one, NameOf) for name in one.table]
    found = [*PREFERRED.get(key, ()), *choices(field.annotation), *named, *found]
    return [one for one in found if one != value]


def put(tree, key, value):
    """The tree with another value of a key."""
    head, _, rest = key.partition(".")
    return tree | {head: put(tree[head], rest, value) if rest else value}


def variants(spec):
    """Each key that can be changed alone, with a spec in which it is."""
    tree = spec.model_dump(mode="json")
    for key, value in leaves(tree):
        for other in others(key, value):
            try:
                found = validate(put(tree, key, other), "changed")
            except SpecError:
                continue
            if found != spec:
                yield key, found
                break


def expect(base, key):
    """The stages that a key touches first."""
    table = TOUCHED | ELSEWHERE.get(base, {})
    known = [one for one in table if one == "" or key == one or key.startswith(f"{one}.")]
    return table[max(known, key=len)]


def paths(model, prefix=""):
    """All keys of a section that are no sections."""
    for name, field in model.model_fields.items():
        inner = section_of(field)
        yield from paths(inner, f"{prefix}{name}.") if inner else [prefix + name]


@pytest.fixture(scope="module")
def outcomes(digits, masks):
    """For each base the fingerprints, and those with each key changed that can be changed."""

    @cache
    def outcomes(base):
        spec, images = read_spec(None, BASES[base]), masks if base == "masks" else digits
        found = {}
        for key, other in variants(spec):
            if key == "data.name":
                continue  # another set: it lies on some machines and would be downloaded on others
            of_data = key.startswith("data.")
            if of_data and base == "masks":
                continue  # there is no folder to read; the data are tried with the digits
            try:
                found[key] = marks(other, load_dataset(other.data) if of_data else images)
            except HybridonnError:
                continue  # refused: nothing is done at all
        return marks(spec, images), found

    return outcomes


@pytest.mark.parametrize("base", BASES)
def test_a_changed_key_has_those_stages_done_anew_that_it_touches(base, outcomes):
    before, found = outcomes(base)
    wrong = []
    for key, after in found.items():
        anew = changed(before, after)
        wanted = downstream(expect(base, key), before | after)
        if anew != wanted:
            wrong.append(f"{key}: {sorted(anew)} in place of {sorted(wanted)}")
    assert not wrong, "\n".join(wrong)


def test_every_key_is_changed_in_one_of_the_bases(outcomes):
    changed_keys = {key for base in BASES for key in outcomes(base)[1]}
    assert set(paths(Spec)) - changed_keys == ALONE_REFUSED


def test_the_estimate_depends_on_the_seed_that_thins_it_and_not_on_the_images_alone(digits):
    before, after = (marks(read_spec(None, (f"data.split_seed={k}",)), digits) for k in (0, 1))
    assert changed(before, after) == {"estimate"}


@pytest.fixture
def captures(tmp_path):
    dice = np.random.default_rng(0)
    names = np.array([name_image("test", k) for k in range(3)])
    pictures = dice.random((2, 3, 8, 4, 4), np.float32)
    psfs, gains = dice.random((8, 2, 1, 5, 5), np.float32), dice.random((8, 2), np.float32)
    exposure = np.ones(3, np.float32)
    folder = tmp_path / "captures"
    write_captures(CaptureDataset(names, *pictures, exposure, gains, gains, psfs), folder)
    return folder


@pytest.mark.parametrize(
    ("file", "array"),
    [("captures", "negative"), ("captures", "positive"), ("captures", "gains"), ("psfs", "psfs")],
)
def test_every_array_of_a_capture_set_counts_and_its_place_does_not(digits, captures, file, array):
    spec = read_spec(None, CHIP)
    before = marks(spec, digits, captures)
    moved = shutil.copytree(captures, captures.with_name("moved"))
    assert marks(spec, digits, moved) == before
    arrays = read_arrays(moved / f"{file}.npz")
    arrays[array] = arrays[array][::-1]  # the sum of all numbers stays the same
    write_arrays(moved / f"{file}.npz", **arrays)
    assert changed(before, marks(spec, digits, moved)) == {"captures"}


def test_compensation_on_captures_depends_on_the_metasurface(digits, captures):
    specs = (read_spec(None, (*CHIP, f"optics.metasurface.seed={seed}")) for seed in (0, 1))
    before, after = (marks(spec, digits, captures) for spec in specs)
    assert changed(before, after) == {"metasurface", "fabricated", "compensated", "captures"}


def test_measured_optics_count_with_their_content_and_not_with_their_name(digits, tmp_path):
    settings = "optics.frontend=measured", "student.kernels=1"
    found = {}
    for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).write_bytes(content)
        place = f"optics.measured={{psfs: {tmp_path / name}, pixels_per_scene_pixel: 2}}"
        found[name] = marks(read_spec(None, (*settings, place)), digits)
    assert found["a"] == found["b"]
    assert changed(found["a"], found["c"]) == {"student"}


def test_the_pillars_of_a_file_count_with_their_numbers(digits, tmp_path):
    path = tmp_path / "pillars.csv"
    default_library().write_csv(path)
    spec = read_spec(None, (*CHIP, f"optics.metasurface.library={path}"))
    before = marks(spec, digits)
    path.write_text(path.read_text().replace("0.9", "0.8"))
    assert changed(before, marks(spec, digits)) == {"metasurface", "fabricated", "compensated"}
    path.unlink()
    with pytest.raises(ArtefactError, match=r"cannot read optics\.metasurface\.library .*pillars"):
        marks(spec, digits)


def test_weights_of_a_teacher_count_with_their_content(digits, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"weights")
    specs = {n: read_spec(None, (f"teacher.weights={tmp_path / n}",)) for n in ("a", "b")}
    before = marks(specs["a"], digits)
    assert marks(specs["b"], digits) == before
    (tmp_path / "a").write_bytes(b"another")
    assert changed(before, marks(specs["a"], digits)) == {
        *("teacher", "alignment", "teacher_targets", "student")
    }


PACKAGE = {
    "mine/__init__.py": "",
    "mine/net.py": "from .layers import block\nfrom .parts import deep\nimport beside, torch\n",
    "mine/layers.py": "block = 1",
    "mine/parts/__init__.py": "",
    "mine/parts/deep.py": "def f():\n    from mine import late",
    "mine/late.py": "",
    "mine/unused.py": "",
    "beside.py": "",
    "other.py": "",
}


@pytest.fixture
def package(tmp_path):
    for name, text in PACKAGE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize("name", PACKAGE)
def test_all_code_that_a_users_teacher_imports_counts(digits, package, name):
    here = f"teacher.code_folder={package}"
    spec = read_spec(None, ("teacher.name=mine.net:Net", here, "teacher.arguments={}"))
    before = marks(spec, digits)
    (package / name).write_text(PACKAGE[name] + "\n# another line\n")
    counts = name not in ("mine/unused.py", "other.py")
    assert ("teacher" in changed(before, marks(spec, digits))) == counts


def test_a_file_that_an_argument_of_the_teacher_names_counts(digits, tmp_path):
    path = tmp_path / "pretrained.bin"
    path.write_bytes(b"one")
    spec = read_spec(None, (f"teacher.arguments={{from: ['{path}', 'no file', '~']}}",))
    before = marks(spec, digits)
    path.write_bytes(b"two")
    assert "teacher" in changed(before, marks(spec, digits))


@pytest.mark.parametrize("part", ["train", "student_train", "validation", "test"])
def test_every_image_counts(digits, part):
    images = getattr(digits, part)
    other = digits.with_part(part, ImageSet(images.images.flip(0), images.labels))
    there = marks(read_spec(None), digits)
    found = changed(there, marks(read_spec(None), other))
    touched = TOUCHED["data.train_images"] if part == "student_train" else TOUCHED["data"]
    assert found == downstream(touched, there)


def test_the_names_of_the_classes_count(digits):
    parts = {name: getattr(digits, name) for name in ("train", "validation", "test")}
    names = tuple(reversed(digits.classes))
    checksum = hash_parts(names, parts | {"student_train": digits.student_train})
    renamed = replace(digits, classes=names, checksum=checksum)
    there = marks(read_spec(None), digits)
    found = changed(there, marks(read_spec(None), renamed))
    assert found == downstream(TOUCHED["data"], there)


READS = {
    "a key": lambda context: context.spec.seed,
    "a key of a section": lambda context: context.spec.optics.gap_mm,
    "a stage": lambda context: context.find(STAGES[0]),
    "images": lambda context: context.dataset,
    "a key behind getattr": lambda context: getattr(context.spec, "seed", None),
}


@pytest.mark.parametrize("what", READS)
def test_what_is_not_declared_cannot_be_read(tmp_path, what):
    def inputs(spec):
        return narrow(spec, "task", "optics.sensor")

    stage = Stage("some", inputs, READS[what], data="none")
    with pytest.raises(UndeclaredReadError):
        complete(stage, read_spec(None), None, {}, tmp_path / "some", Silent())
    assert not list(tmp_path.iterdir())


def test_the_teacher_sees_no_image_of_the_students(digits, tmp_path):
    def look(context):
        assert len(context.dataset.train)
        return {"images": len(context.dataset.student_train)}

    stage = Stage("some", lambda spec: narrow(spec, "task"), look, data="teacher")
    with pytest.raises(UndeclaredReadError):
        complete(stage, read_spec(None), digits, {}, tmp_path / "some", Silent())
