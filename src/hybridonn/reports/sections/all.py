"""All figures of a run, with the captions that tell how to read them."""

from __future__ import annotations

from hybridonn.reports.artefacts.masks import MaskPredictions
from hybridonn.reports.artefacts.predictions import Predictions
from hybridonn.reports.artefacts.run import Branch, Run
from hybridonn.reports.figures.confusion import MOST_COUNTS, draw_confusion, shorten
from hybridonn.reports.figures.curves import draw_curves
from hybridonn.reports.figures.embedding import draw_embedding
from hybridonn.reports.figures.features import draw_features
from hybridonn.reports.figures.iou import draw_iou, list_shares
from hybridonn.reports.figures.kernels import draw_kernels
from hybridonn.reports.figures.layout import draw_layout
from hybridonn.reports.figures.layout_file import draw_layout_file
from hybridonn.reports.figures.learning_curve import describe_estimate, draw_learning_curve
from hybridonn.reports.figures.mask_overlays import draw_overlays
from hybridonn.reports.figures.pillar_maps import count_step, draw_width_maps, list_pillar_numbers
from hybridonn.reports.figures.psfs import draw_optics, list_numbers
from hybridonn.reports.formats import percent
from hybridonn.reports.sections.chip import list_chip_pictures
from hybridonn.reports.sections.section import Picture


def list_pictures(run: Run) -> list[Picture]:
    """The figures of a run, in the report's order."""
    promised = [] if run.estimate is None else [_estimate(run)]
    return [
        _layout(run),
        *promised,
        *_kernels(run),
        *([] if run.optics is None else [_optics(run), *_pillars(run)]),
        *([] if run.layout_file is None else [_layout_file(run)]),
        *_features(run),
        _curves(run),
        *_answers(run),
        *list_chip_pictures(run),
    ]


def _answers(run: Run) -> list[Picture]:
    """What the networks answer: masks over images, or classes."""
    if run.overlays is None:
        return [_confusion(run), _map(run)]
    return [_overlays(run), _iou(run)]


def _layout(run: Run) -> Picture:
    return Picture(
        "layout",
        "The metasurface",
        f"{run.layout.kernels} signed kernels on {run.layout.rows} × {run.layout.columns} sites",
        "The metasurface to scale. Each square is the site of one sub-optic with its own point "
        "spread function (PSF). Light is incoherent, so a PSF cannot be negative: a signed kernel "
        "takes two neighbouring sites, one for its positive part (red) and one for its negative "
        "part (blue). Kernels are numbered from 0, as in the arrays; sites that are only outlined "
        "stay empty.",
        lambda: draw_layout(run.layout),
    )


def _estimate(run: Run) -> Picture:
    assert run.estimate is not None  # list_pictures asks
    estimate, student = run.estimate, run.models["student"].predictions
    images = run.record["data"].get("student_train")
    teacher = run.models["teacher"].predictions.value if "teacher" in run.models else None
    return Picture(
        "estimate",
        "Promised before training",
        f"Estimated {estimate.label} against training images, "
        f"{percent(estimate.accuracy, estimate.test_images)} in the end",
        describe_estimate(
            estimate, student.value, images, student.total, estimate.against(student)
        ),
        lambda: draw_learning_curve(
            estimate, student=student.value, student_images=images, teacher=teacher
        ),
    )


def _kernels(run: Run) -> list[Picture]:
    """The kernels, a figure a branch."""
    bands = run.kernels.shape[1]
    rows = "" if bands == 1 else f" Its {bands} rows are its {bands} wavelength bands."
    caption = (
        "Each large square is a signed kernel as the student learned it; the two small squares are "
        "what light can do: the PSFs of its positive (+) and negative (−) part, to be subtracted "
        f"after the exposure.{rows} All share one scale, and white is zero, so that a pale kernel "
        "is a weak one."
    )
    found = []
    for number, branch in enumerate(run.branches, 1):
        margin = (run.kernels.shape[-1] - branch.size) // 2
        inner = slice(margin, margin + branch.size)
        kernels = run.kernels[branch.kernels, :, inner, inner]
        mark, where = _place(run, number, branch)
        found.append(
            Picture(
                f"kernels{mark}",
                f"The learned kernels{where}",
                f"{len(kernels)} kernels of {branch.size} × {branch.size} with their positive and "
                "negative parts",
                caption + _count(run, branch),
                lambda kernels=kernels: draw_kernels(kernels, run.wavelengths_nm),
            )
        )
    return found


def _place(run: Run, number: int, branch: Branch) -> tuple[str, str]:
    """Mark of the file and words of the heading of a branch; empty where there is only one."""
    if len(run.branches) == 1:
        return "", ""
    size = "full resolution" if branch.binning == 1 else f"1/{branch.binning} of the resolution"
    return f"-{number}", f" of branch {number}: {size}"


def _count(run: Run, branch: Branch) -> str:
    """What a caption says of kernels of one branch among several."""
    if len(run.branches) == 1:
        return ""
    start, stop = branch.kernels.start, branch.kernels.stop
    weight = (
        ""
        if branch.binning == 1
        else f"; one weight is {branch.binning} × {branch.binning} pixels of the scene"
    )
    return f" Numbered within the branch; in the arrays they are {start} to {stop - 1}{weight}."


def _optics(run: Run) -> Picture:
    optics = run.optics
    assert optics is not None  # list_pictures asks
    apart = old = ""
    if run.width_maps is None:
        old = (
            " Widths and phases of the pillars are not shown: the version that made this design "
            "kept no phases. Remove the folder metasurface and run the same command again."
        )
    if optics.binnings.max() > 1:
        apart = (
            " A kernel that is read out at 1/b of the resolution lies on the sensor as spots b "
            "pixels apart; b × b pixels of its picture are summed."
        )
    return Picture(
        "optics",
        "What the metasurface does",
        "Wanted and simulated point spread functions of some kernels",
        "The point spread functions (PSFs) of the designed pillars beside their targets, upright: "
        "a kernel turned by half a turn. “Wanted” and “camera” are light a pixel in units of the "
        "kernel's weights, “light” is the picture before the camera's pixels add it up, each on "
        "its own scale; dashes frame the kernel. On the right, positive less negative part within "
        "that frame. Below, kernel error is the relative Euclidean distance of the two, root D "
        "and the loss are those of Xiang et al., efficiency is the light within the frame over "
        "the light that falls on the sub-optic, and cross-talk the light of neighbouring "
        "sub-optics over a sub-optic's own, where the sensor reads it." + old + apart,
        lambda: draw_optics(optics),
        tuple(list_numbers(optics)),
    )


def _pillars(run: Run) -> list[Picture]:
    """The widths and phases of the designed pillars; none for an earlier version's stage."""
    maps, optics = run.width_maps, run.optics
    if maps is None or optics is None:
        return []
    step = count_step(maps)
    thinned = f" Of the whole, every {step}th cell along a side is shown." if step > 1 else ""
    return [
        Picture(
            "pillars",
            "The designed pillars",
            f"Widths and phases of the pillars of kernel {maps.kernel}",
            f"The pillars of kernel {maps.kernel}, positive part above, negative part below, as "
            "one looks through the metasurface at the scene. The width decides the phase by which "
            "a pillar delays light, counted from an empty cell, in whole turns; a width has one "
            "phase at each wavelength. On the right, the middle of the sub-optic, cell by cell."
            f"{thinned} The numerical aperture is the sine of the angle at which half a side of "
            "the sub-optic is seen from the middle of its picture on the sensor. All widths lie "
            "in metasurface/widths.npz.",
            lambda: draw_width_maps(maps),
            tuple(list_pillar_numbers(optics.results, optics.wavelengths_nm)),
            level=3,
        )
    ]


def _layout_file(run: Run) -> Picture:
    drawing = run.layout_file
    assert drawing is not None  # list_pictures asks
    return Picture(
        "layout-file",
        "The layout file",
        "The chip in the layout file and one of its corners, pillar by pillar",
        "Drawn from the layout file as it was read back and found equal to the design. Left, the "
        "metasurface with its four alignment marks and its label; red and blue are the apertures "
        "of positive and negative parts. Right, the upper left corner of the first sub-optic, "
        "from that corner; grey lines part the cells of the design.",
        lambda: draw_layout_file(drawing),
    )


def _features(run: Run) -> list[Picture]:
    """What the sensor sees of one test image, a figure a branch."""
    examples, title = run.examples, "test image"
    if examples.labels.ndim == 1:
        title = f"class {shorten(run.classes[int(examples.labels[0])])}"
    found = []
    for number, branch in enumerate(run.branches, 1):
        # Of a coarser branch each of its sensor's pixels is kept as often as it covers the scene's.
        finest = min(one.binning for one in run.branches)
        step = branch.binning // finest
        pictures = examples.features[0, branch.kernels, ::step, ::step]
        mark, where = _place(run, number, branch)
        found.append(
            Picture(
                f"features{mark}",
                f"What the camera sees{where.replace(' of branch', ' on branch')}",
                f"One test image{'' if title == 'test image' else f' of {title}'} and its "
                "difference picture for each kernel",
                "Left, one test image. Right, for each kernel, the picture that the positive site "
                "throws on the sensor less that of the negative site: all that the digital backend "
                "gets to see. One scale for all; white is zero, red positive, blue negative.",
                lambda pictures=pictures: draw_features(examples.scene[0], pictures, title),
            )
        )
    return found


def _curves(run: Run) -> Picture:
    metric = "mIoU" if run.overlays is not None else "Accuracy"
    return Picture(
        "curves",
        "Training",
        f"{metric}, alignment and loss terms by epoch",
        f"Epoch by epoch. {metric} is measured on the validation images, which nothing is trained "
        "on; a dot marks the epoch whose weights are kept, the one with the highest score, of "
        "equals the lowest loss on these images. The first steep epochs may lie below the frame. "
        "NTK alignment, where it is recorded, is the centred kernel alignment of the student's "
        "neural tangent kernel with the teacher's: 1 means equal up to scale. The losses are shown "
        "on a logarithmic scale, the student's with the terms of its objective, each before its "
        "weight, and the task's loss on the validation images.",
        lambda: draw_curves({name: model.history for name, model in run.models.items()}),
    )


def _overlays(run: Run) -> Picture:
    overlays = run.overlays
    assert overlays is not None  # list_pictures asks
    return Picture(
        "overlays",
        "Masks over test images",
        f"{len(overlays.scenes)} test images with the masks of truth and networks",
        "Test images as they are, with the true mask and with what each network says. By the "
        "student's mIoU these are the best, the median and the worst image, and others drawn at "
        "random by the run's seed. Above each mask stands the mIoU of this image.",
        lambda: draw_overlays(overlays, _masks(run), run.classes),
    )


def _iou(run: Run) -> Picture:
    return Picture(
        "iou",
        "How well the masks cover",
        "Intersection over union by class, and the distribution of the images' mIoU",
        "Intersection over union (IoU): the pixels that truth and answer share, over those that "
        "either has. The mIoU of an image is the mean over the classes in it, be it in truth or "
        "answer; its mean over the test images is the mIoU of this report, over images and classes "
        "as in Xiang et al. The table has it under “images”. Under “pixels”, intersections and "
        "unions are added over the whole test set before they are divided (as in Cityscapes and "
        "COCO-Stuff; miou_pixels in results.json), so that large objects weigh more. The mean of "
        "the classes' values need not be the mIoU where a class is missing from some images.",
        lambda: draw_iou(_masks(run), run.classes),
        tuple(list_shares(_masks(run), run.classes)),
    )


def _masks(run: Run) -> dict[str, MaskPredictions]:
    answers = {name: model.predictions for name, model in run.models.items()}
    return {name: one for name, one in answers.items() if isinstance(one, MaskPredictions)}


def _confusion(run: Run) -> Picture:
    counts = "The numbers count test images. " if len(run.classes) <= MOST_COUNTS else ""
    return Picture(
        "confusion",
        "Which classes are confused",
        "Confusion matrices on the test images",
        f"A row is a true class, a column what the network took it for. {counts}The colour is the "
        "share of the true class, on a scale that is stretched at the low end so that single "
        "mistakes can be seen. A perfect network has nothing beside the diagonal.",
        lambda: draw_confusion(
            {
                name: model.predictions
                for name, model in run.models.items()
                if isinstance(model.predictions, Predictions)
            },
            run.classes,
        ),
    )


def _map(run: Run) -> Picture:
    return Picture(
        "embedding",
        "How the classes lie",
        "t-SNE maps of the features of test images",
        "Features of test images laid out in the plane by t-SNE (van der Maaten and Hinton 2008). "
        "Images that a network finds alike lie together: well separated clusters of one colour are "
        "classes it tells apart. Distances between clusters, the axes and the turn of the map mean "
        "nothing, and the maps of two networks can be compared by their mixing only.",
        lambda: draw_embedding(
            {name: one.embedding for name, one in run.models.items() if one.embedding is not None},
            run.classes,
        ),
    )
