"""The one kind of error that a user sees: a sentence, never a traceback."""


class HybridonnError(Exception):
    """Something that the user can mend: the message says what, where and how.

    The command line prints the message alone and exits with status 1; with
    ``--debug`` it shows the traceback as well.
    """


class SpecError(HybridonnError):
    """The spec holds a key or a value that it cannot hold."""


class DataError(HybridonnError):
    """A data set is missing, damaged or does not fit the spec."""


class TrainingError(HybridonnError):
    """Training cannot go on, for example because the loss is not finite."""


class ArtefactError(HybridonnError):
    """A file of a run folder cannot be read or written."""


class OpticsError(HybridonnError):
    """Optics that cannot be made, or that the simulation cannot sample rightly.

    Attributes:
        quantities: Names of the physical quantities that decide it, as the optics name them, such
            as ``gap_m``. Who states them under other names adds those.
    """

    def __init__(self, message: str, *quantities: str) -> None:
        super().__init__(message)
        self.quantities = quantities


class SamplingError(OpticsError):
    """A grid on which a law of wave optics would give a wrong image."""


class DeploymentError(HybridonnError):
    """A network that cannot be written for a device, or a file for one that is not as it was."""
