"""Boards with microcontrollers, and which of them hold a backend in C."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MB = 10**6
LIBRARY_BYTES = 2**17  # of flash and of RAM that are left to the program, its C library and stack


@dataclass(frozen=True)
class Board:
    """A board that can be bought, or the one that is emulated.

    Attributes:
        name: Its name.
        flash_bytes: Flash, for code and weights.
        ram_bytes: RAM, for all that is computed.
    """

    name: str
    flash_bytes: int
    ram_bytes: int


EMULATED = Board("the emulated MPS2+ AN386", 2**22, 2**22)  # Arm DAI 0386
# By the makers' data sheets, from small to large.
BOARDS = (
    Board("Arduino Nano 33 BLE (nRF52840)", 2**20, 256 * 2**10),
    Board("Nucleo-L4R5ZI (STM32L4R5)", 2 * 2**20, 640 * 2**10),
    Board("Nucleo-H743ZI (STM32H743)", 2 * 2**20, 2**20),
    Board("Teensy 4.1 (i.MX RT1062)", 7936 * 2**10, 2**20),
)


def list_boards(flash: int, ram: int) -> list[str]:
    """Names of the boards that hold some bytes of flash and of RAM."""
    return [one.name for one in BOARDS if flash <= one.flash_bytes and ram <= one.ram_bytes]


def explain_boards(found: Mapping[str, Any]) -> str:
    """One sentence on the boards that hold a backend in C.

    Args:
        found: ``results["deployed"]["c"]``.
    """
    flash, ram = found["flash_needed_bytes"], found["ram_needed_bytes"]
    names = list_boards(flash, ram)
    said = (
        f"with its inputs and outputs, and {LIBRARY_BYTES // 2**10} KiB of each for your program, "
        f"backend.c needs {flash / MB:.2f} MB of flash and {ram / MB:.2f} MB of RAM"
    )
    if flash > EMULATED.flash_bytes or ram > EMULATED.ram_bytes:
        said += f", more than {EMULATED.name} has (4.19 MB of each), so it was not run there"
    if names:
        return f"{said}; of the known boards these hold it: {', '.join(names)}"
    largest = BOARDS[-1]
    return (
        f"{said}; none of the known boards holds it (the largest, {largest.name}, has "
        f"{largest.flash_bytes / MB:.2f} MB and {largest.ram_bytes / MB:.2f} MB): in 8-bit "
        "integers, --target tflite-micro, it takes a quarter; or make the backend smaller"
    )
