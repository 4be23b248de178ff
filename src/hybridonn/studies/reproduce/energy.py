"""The paper's energies of an image."""

from hybridonn.studies.reproduce.record import Cost, Part, Row, Size, Table

NOTHING = Size(1, Cost(0))
UNET, COMPACT, HYBRID = 2040.0, 9.73, 5.83  # mJ

TABLE = Table(
    "energy",
    "Energy of an image",
    "The paper's constants, 30.84 pJ a multiply-accumulate and 2.36 mJ (lens) or 3.82 mJ (hybrid) "
    "a capture, give its energies from its numbers of operations; below, what they give for our "
    "networks, whose images have other sizes. Other constants: hybridonn cost --paper.",
    (
        Part(
            name="energy-paper",
            system="the paper's networks, computed anew",
            study="energy",
            spec="carvana",
            rows=(
                Row("unet", "U-Net, digital", UNET),
                Row("compact", "compact network, digital", COMPACT),
                Row("hybrid", "hybrid network", HYBRID),
            ),
            full=NOTHING,
            quick=NOTHING,
            options={"networks": "paper"},
        ),
        Part(
            name="energy-ours",
            system="our networks for images of 128 x 192 pixels",
            study="energy",
            spec="carvana",
            rows=(
                Row("teacher", "U-Net, digital", UNET),
                Row("digital", "the hybrid network, all digital", COMPACT),
                Row("backend", "hybrid network", HYBRID),
            ),
            full=NOTHING,
            quick=NOTHING,
            data="our networks at an image size of our own",
            options={"networks": "ours"},
        ),
    ),
    unit="mJ",
)
