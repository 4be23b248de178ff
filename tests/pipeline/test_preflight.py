"""What cannot be made is refused before the teacher is trained."""

from dataclasses import replace
from pathlib import Path

import pytest

from hybridonn.core.errors import ArtefactError, OpticsError, SpecError, TrainingError
from hybridonn.data import load_dataset
from hybridonn.pipeline.preflight import refuse_augmentation, refuse_early, refuse_unread
from hybridonn.pipeline.run import estimate, run
from hybridonn.spec import read_spec
from hybridonn.spec.examples import find_example
from hybridonn.tasks.task import make_task

# 128 cells of 586 nm, twelve of them a kernel's pixel: the digits in a second.
SMALL = (
    "optics.kernel_site_mm=0.0752",
    "optics.gap_mm=0.004",
    "optics.metasurface_width_mm=0.5",
    "optics.metasurface_height_mm=0.5",
    "optics.metasurface.sensor_distance_mm=0.2",
    "optics.metasurface.kernel_pixel_um=7.032",
    "optics.sensor.pixel_um=3.516",
    "student.kernels=3",
    "student.kernel_size=3",
)


@pytest.fixture(scope="module")
def digits():
    return load_dataset(read_spec(None).data)


def test_what_can_be_made_passes(digits):
    refuse_early(read_spec(None), digits)
    refuse_early(read_spec(None, SMALL), digits)
    refuse_early(read_spec(None, ("optics.metasurface={}",)), digits)  # the authors' chip


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("optics.wavelengths_nm=[635,532]", ["states 2", "1 channels"]),
        ("optics.wavelengths_nm=[600]", ["600 nm is not in the library", "635, 532, 450 nm"]),
        (
            "optics.metasurface.kernel_pixel_um=7",
            ["11.9454 cells of 586 nm", "7.032 um", "kernel_pixel_um"],
        ),
        ("optics.metasurface.sensor_distance_mm=0.02", ["carry less than", "longer distance"]),
        ("optics.metasurface.min_gap_nm=250", ["narrowest pillar, 65 nm", "widest, 43 nm"]),
        ("optics.metasurface.min_transmittance=0.9999", ["transmits less than 0.9999", "lower"]),
        ("optics.metasurface.library=none.csv", ["none.csv"]),
        ("optics.sensor.pixel_um=3", ["2.344 camera pixels of 3 um", "kernel_pixel_um"]),
        ("optics.sensor.bayer=true", ["needs three wavelengths", "here are 1"]),
        ("optics.kernel_site_mm=0.005", ["holds 8 cells", "larger (keys: optics.kernel_site_mm)"]),
        ("student.kernels=30", ["30 kernels", "holds 18", "ask for at most 18"]),
        (
            "optics={kernel_site_mm: 60, metasurface_width_mm: 70, metasurface_height_mm: 70, "
            "metasurface: {kernel_pixel_um: 11.72}}",
            ["102,389 x 102,389 cells would take", "TB of memory", "lower optics.kernel_site_mm"],
        ),
        ("student.kernel_size=17", ["student.kernel_size is 17", "1 to 15"]),
        (
            "compensation.fraction=0.005",
            ["fraction of 0.005 of 1,294 images is 6 captures", "at least 10", "of 0.0078"],
        ),
        ("compensation.fractions=[0.1,0.0001]", ["fraction of 0.0001", "is 0 captures"]),
        (
            "fabrication={defocus_um: 40, bandwidth_nm: 10}",
            ["chip of seed 0 has its sensor at", "carry less than", "fabrication.defocus_um"],
        ),
        ("student.pooled_size=9", ["student.pooled_size is 9", "1 to 8"]),
        ("training.augmentation.crop_pixels=8", ["crop_pixels is 8", "8 x 8", "less than 8"]),
        ("training.augmentation.shift_pixels=1e300", ["shift_pixels is 1e+300", "less than 8"]),
        ("teacher.training.augmentation.crop_pixels=9", ["teacher.training.augmentation.crop"]),
        ("teacher.arguments.depth=3", ["teacher lenet cannot be built", "depth"]),
    ],
)
def test_what_cannot_be_made_is_refused_with_numbers_and_cure(digits, setting, words):
    with pytest.raises((OpticsError, SpecError)) as caught:
        refuse_early(read_spec(None, (*SMALL, setting)), digits)
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("student.hidden=[1000000000]", "the student would take 236 GB of memory, and .* 16 GB"),
        ("student.hidden=[2147483647,2147483647]", "would take more than a petabyte of memory"),
        ("student.kernels=2000000000", "the student would take 8.27 TB"),
        ("teacher.arguments.hidden=1000000000", "training step of teacher lenet .* 3.76 TB"),
        ("teacher={name: resnet50, arguments: {width: 4000}}", "teacher resnet50 would take"),
        ("teacher={name: airbench, arguments: {widths: [48, 9000000, 9]}}", "teacher airbench"),
    ],
)
def test_what_no_memory_holds_is_refused_before_it_is_taken(digits, monkeypatch, setting, words):
    monkeypatch.setattr("hybridonn.core.memory.machine_bytes", lambda: 16 * 10**9)
    monkeypatch.setattr("hybridonn.networks.network_size.machine_bytes", lambda: 16 * 10**9)
    with pytest.raises(SpecError, match=words):
        refuse_early(read_spec(None, (*SMALL, setting)), digits)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("data.size_pixels=30000", "a batch of 128 images of 30000 x 30000 pixels would take 461"),
        ("teacher.name=:x", "':x' is no name of code"),
        ("teacher.name=lenett", "is not one of lenet"),
        (
            "teacher.name=u-net",
            "answers each pixel; classification takes lenet, alexnet, .*resnet50",
        ),
        ("teacher.name=subprocess:getoutput", "so it is not called"),
        ("teacher.weights=none.safetensors", "does not exist; name a safetensors file"),
        ("teacher.weights=.", "is a folder; name a safetensors file"),
        ("distillation={task_weight: 0, baseline: true}", "baseline is true, and its method is no"),
        ("compensation={labelled: false}", "labelled is false, but method none learns from labels"),
        (
            "compensation={labelled: false, methods: [], distillation: {method: kd, kd_weight: 0}}",
            "no weight without labels: method is kd, but task_weight and kd_weight are 0",
        ),
    ],
)
def test_what_the_spec_alone_tells_is_refused_before_data_are_read(monkeypatch, setting, words):
    monkeypatch.setattr("hybridonn.core.memory.machine_bytes", lambda: 16 * 10**9)
    with pytest.raises((SpecError, ArtefactError), match=words):
        refuse_unread(read_spec(None, (setting,)))


def test_images_that_no_memory_holds_are_refused(monkeypatch):
    monkeypatch.setattr("hybridonn.core.memory.machine_bytes", lambda: 16 * 10**9)
    with pytest.raises(SpecError, match=r"1,797 images of 30000 x 30000 .* 1\.62 TB"):
        load_dataset(read_spec(None, ("data.size_pixels=30000",)).data)


@pytest.mark.parametrize("command", [run, estimate])
def test_no_stage_of_training_has_begun(command, tmp_path, monkeypatch):
    monkeypatch.setenv("HYBRIDONN_CACHE", str(tmp_path / "cache"))
    spec = read_spec(None, (*SMALL, "optics.sensor.pixel_um=3"))
    with pytest.raises(OpticsError, match="camera pixels"):
        command(spec, tmp_path / "run")
    assert not {"teacher", "estimate", "student"} & {path.name for path in tmp_path.glob("run/*")}


def test_a_refused_run_leaves_no_folder_and_spoils_none(tmp_path, monkeypatch):
    monkeypatch.setenv("HYBRIDONN_CACHE", str(tmp_path / "cache"))
    spec = read_spec(None, (*SMALL, "optics.sensor.pixel_um=3"))
    with pytest.raises(OpticsError, match="camera pixels"):
        run(spec, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / ".lock").touch()
    with pytest.raises(OpticsError, match="camera pixels"):
        run(spec, tmp_path / "old")
    assert (tmp_path / "old").exists()


def test_a_4f_system_that_cannot_image_the_scene_is_refused(digits):
    settings = ("optics.frontend=four_f", "optics.four_f.scene_pixel_um=960")
    with pytest.raises((OpticsError, SpecError)):
        refuse_early(read_spec(None, settings), digits)


def test_a_precision_that_spoils_the_students_gradients_is_refused(digits):
    path = Path(__file__).parents[2] / "examples" / "dsb2018_extreme.yaml"
    small = "teacher.arguments.depth=3"  # the digits' 8 pixels can be halved three times
    masks = replace(digits, task=make_task("segmentation"))
    crops = [f"{part}training.augmentation.crop_pixels=2" for part in ("", "teacher.")]
    refuse_early(read_spec(path, (small, *crops)), masks)
    spec = read_spec(path, (small, *crops, "training.device=cpu", "training.precision=bfloat16"))
    with pytest.raises(TrainingError, match=r"bfloat16.*dilated depthwise.*use float32 or auto"):
        refuse_early(spec, masks)


@pytest.mark.parametrize("where", ["training", "teacher.training"])
def test_boxes_are_not_cut_in_two(where):
    spec = read_spec(find_example("bccd"), (f"{where}.augmentation.cutmix_alpha=1",))
    with pytest.raises(SpecError, match=f"^{where}.augmentation.cutmix_alpha is 1, which cuts"):
        refuse_augmentation(spec, (3, 64, 64))
