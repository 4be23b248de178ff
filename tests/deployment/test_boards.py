"""Which boards hold a backend in C, in one sentence."""

from __future__ import annotations

import pytest

from hybridonn.deployment.boards import explain_boards


@pytest.mark.parametrize(
    ("flash", "ram", "says"),
    [
        (320_000, 190_000, "these hold it: Arduino Nano 33 BLE (nRF52840), Nucleo-L4R5ZI"),
        (6_430_000, 460_000, "so it was not run there; of the known boards these hold it: Teensy"),
        (
            9_000_000,
            460_000,
            "none of the known boards holds it (the largest, Teensy 4.1 (i.MX RT1062), ha",
        ),
        (300_000, 3_000_000, "needs 0.30 MB of flash and 3.00 MB of RAM; none of the known boards"),
    ],
)
def test_the_sentence_names_what_is_needed_and_what_holds_it(flash, ram, says) -> None:
    said = explain_boards({"flash_needed_bytes": flash, "ram_needed_bytes": ram})
    assert says in said
    assert ("was not run there" in said) == (flash > 2**22 or ram > 2**22)
