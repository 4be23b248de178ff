"""Figure 5: confusions and features behind a chip, before and after compensation."""

from dataclasses import replace

from hybridonn.studies.reproduce import figure4
from hybridonn.studies.reproduce.record import Row, Table

FIGURES = {
    "chip-confusion": "which classes the network takes for which, as fabricated and compensated",
    "chip-embedding": "t-SNE of features of test captures, as fabricated and compensated",
}
ROWS = (
    Row("fabricated.ideal_accuracy", "student, ideal kernels"),
    Row("fabricated.accuracy", "as fabricated"),
    Row("compensated.calibrated_accuracy", "calibrated"),
    Row("compensated.ntkd_accuracy", "calibrated, then fine-tuned, NTKD"),
)

TABLE = Table(
    "figure5",
    "Figure 5: confusions and features before and after compensation",
    "One simulated chip of the networks of figure 4, a tenth of the training images captured. The "
    "means over several chips are in table 4.",
    tuple(
        replace(
            part,
            name=part.name.replace("figure4", "figure5"),
            rows=ROWS,
            data="a simulated chip",
            options={**part.options, "figures": FIGURES},
        )
        for part in figure4.TABLE.parts
    ),
)
