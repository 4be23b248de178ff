"""Registration: how measured captures lie on the simulated ones.

The law: ``measured(p) = gain simulated(c + R(-angle) (p - c - shift) / scale) + offset + noise``
with p and c, the centre of the capture, in pixels, y down and x right. A first shift comes from
cross-correlation over a few angles and scales, normalised over the pixels that both captures have
(Padfield 2012, IEEE Trans. Image Process. 21, 2706); Gauss-Newton then refines shift, angle, scale,
gain and offset together by least squares, which is the most likely answer under white noise
(Lucas and Kanade 1981; Baker and Matthews 2004, Int. J. Comput. Vis. 56, 221, equation 10).
Captures between pixels are cubic splines, whose error on well sampled captures is far below noise.

The uncertainty of what is found follows from the same least squares: with the slopes J of the
captures against all parameters and the residual r of n pixels, the covariance of the parameters is
``s^2 (J'J)^-1``, ``s^2 = |r|^2 / (n - p)`` (Seber and Wild 1989, Nonlinear Regression, theorem
2.1). A shift, angle or scale that differs from none by less than its expanded uncertainty, twice
the standard deviation (JCGM 100:2008, section 6), is none: to apply it would blur the captures
and correct nothing. The others are then fitted without it. An error of a kernel that looks like a
movement is none of the noise: it is taken for one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from hybridonn.compensation.acquisition.overlap import likelihood, near, transform
from hybridonn.compensation.acquisition.splines import Splines, turn
from hybridonn.optics.waves.pruned_fft import fast_length

STEPS = 30  # of Gauss-Newton; it converges in 5 to 10
ENOUGH_PIXELS = 1e-4  # a step that moves no pixel by more ends the search
COVERAGE = 2.0  # standard deviations in an expanded uncertainty of about 95 %
STILL = np.array([0.0, 0.0, 0.0, 1.0])  # shift y and x, angle, scale of what has not moved


@dataclass(frozen=True)
class Registration:
    """How measured captures lie on simulated ones.

    Attributes:
        shift_pixels: (y, x): by how much the measured capture is moved down and right.
        rotation_rad: By how much it is turned about its centre, clockwise as it is displayed
            (y down): from the x axis towards the y axis.
        scale: Size of the measured capture over that of the simulated one.
        gain: Brightness of the measured capture over that of the simulated one.
        offset: Constant that is added to the measured capture.
        correlation: Of measured and moved simulated capture, from -1 to 1, over common pixels.
        uncertainty: Standard deviations of shift (y, x) in pixels, rotation in radians and scale.
    """

    shift_pixels: tuple[float, float]
    rotation_rad: float
    scale: float
    gain: float
    offset: float
    correlation: float
    uncertainty: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)

    @property
    def matrix(self) -> np.ndarray:
        """``scale R(angle)`` on (y, x), (2, 2): from simulated to measured coordinates."""
        return turn(self.rotation_rad) * self.scale

    @property
    def is_still(self) -> bool:
        """Whether nothing has moved."""
        return bool(np.all(_parameters(self) == STILL))

    def then(self, step: Registration) -> Registration:
        """This movement and one of the captures that were cut after it; how well: of the second."""
        y, x = np.array(self.shift_pixels) + self.matrix @ np.array(step.shift_pixels)
        angle = self.rotation_rad + step.rotation_rad
        return replace(
            step,
            shift_pixels=(float(y), float(x)),
            rotation_rad=angle,
            scale=self.scale * step.scale,
        )

    def with_error(self, pixels: float, shape: tuple[int, int]) -> Registration:
        """The same with the error of each place in the uncertainty, beside that of noise.

        Args:
            pixels: Standard deviation of the place of what the captures show, in pixels.
            shape: Shape of a capture: the error turns and scales it the less, the larger it is.
        """
        lever = float(np.sqrt(np.square(shape).mean() / 12))  # of pixels from the middle
        errors = pixels * np.array([1, 1, 1 / lever, 1 / lever])
        together = np.hypot(self.uncertainty, errors)
        return replace(self, uncertainty=tuple(together.tolist()))

    def without_noise(self) -> Registration:
        """The same, each part that is below its expanded uncertainty taken for none."""
        own, deviations = _parameters(self), np.array(self.uncertainty)
        y, x, angle, scale = np.where(np.abs(own - STILL) > COVERAGE * deviations, own, STILL)
        return replace(
            self, shift_pixels=(float(y), float(x)), rotation_rad=float(angle), scale=float(scale)
        )


def still() -> Registration:
    """No movement at all."""
    return Registration((0.0, 0.0), 0.0, 1.0, 1.0, 0.0, 0.0)


def register(
    measured: np.ndarray,
    simulated: np.ndarray,
    *,
    most_shift_pixels: float | None = None,
    angles_rad: tuple[float, ...] = (-0.05, 0.0, 0.05),
    scales: tuple[float, ...] = (1.0,),
    covered: np.ndarray | None = None,
) -> Registration:
    """Find the one movement, gain and offset that all captures of a stack have in common.

    A part of the movement that is below its expanded uncertainty is none.

    Args:
        measured: (N, H, W).
        simulated: (N, H, W), the same images.
        most_shift_pixels: Of the first guess, along an axis; None: half the capture.
        angles_rad: Angles from which the search begins.
        scales: Scales from which the search begins.
        covered: Pixels at which something was measured, (H, W) bool; None: all.

    Raises:
        ValueError: The stacks are not of one shape.
    """
    if measured.shape != simulated.shape or measured.ndim != 3:
        raise ValueError(f"measured {measured.shape} and simulated {simulated.shape} differ")
    seen = _Seen(measured, covered)
    splines = Splines(simulated)
    guess = _guess(seen, splines, most_shift_pixels, list(product(angles_rad, scales)))
    parameters, fit = _refine(seen, splines, guess)
    deviations = _deviations(splines, parameters, fit)
    moving = np.abs(parameters - STILL) > COVERAGE * deviations
    if not moving.all():
        parameters, fit = _refine(seen, splines, np.where(moving, parameters, STILL), moving)
    return Registration(
        (float(parameters[0]), float(parameters[1])),
        float(parameters[2]),
        float(parameters[3]),
        fit.gain,
        fit.offset,
        fit.correlation,
        tuple(deviations.tolist()),
    )


def move(pictures: np.ndarray, found: Registration) -> np.ndarray:
    """Simulated captures as they would be measured, but for gain and offset, (N, H, W)."""
    return Splines(pictures).moved(_parameters(found))


def _parameters(found: Registration) -> np.ndarray:
    return np.array([*found.shift_pixels, found.rotation_rad, found.scale])


class _Seen:
    """Measured captures, and where something was measured.

    Args:
        captures: (N, H, W).
        covered: (H, W) bool; None: everywhere.
    """

    def __init__(self, pictures: np.ndarray, covered: np.ndarray | None) -> None:
        shape = pictures.shape[1:]
        self.covered = (np.ones(shape, bool) if covered is None else covered).ravel()
        self.flat = pictures.reshape(len(pictures), -1).astype(np.float64)


def _guess(
    measured: _Seen,
    splines: Splines,
    most: float | None,
    starts: list[tuple[float, float]],
) -> np.ndarray:
    """The start and the shift at which the measured captures are most likely."""
    shape = tuple(fast_length(2 * side) for side in splines.shape)
    searched = near(shape, tuple(side / 2 if most is None else most for side in splines.shape))
    covered = measured.covered.reshape(splines.shape)
    seen = transform(measured.flat.reshape(-1, *splines.shape), covered, shape)
    best, found = -np.inf, np.array([0.0, 0.0, *starts[0]])
    for angle, scale in starts:
        parameters = np.array([0.0, 0.0, angle, scale])
        inside = splines.inside(splines.sources(parameters)).reshape(splines.shape)
        turned = transform(splines.moved(parameters), inside, shape)
        likely = np.where(searched, likelihood(seen, turned), -np.inf)
        place = np.array(np.unravel_index(likely.argmax(), shape))
        if likely.max() > best:
            best = likely.max()
            shift = np.where(place > np.array(shape) / 2, place - np.array(shape), place)
            found = np.array([*shift, angle, scale])
    return found


def _refine(
    seen: _Seen, splines: Splines, start: np.ndarray, free: np.ndarray | None = None
) -> tuple[np.ndarray, _Fit]:
    """The parameters of the least residual, of which those that are not free stay, and the fit."""
    parameters, reach = start, max(splines.shape) / 2
    fit = _fit(seen, splines, parameters)
    for _ in range(STEPS):
        step = _step(splines, parameters, fit, free)
        while True:
            trial = parameters + step
            refit = _fit(seen, splines, trial)
            moved = np.abs(step * [1, 1, reach, reach]).max()
            if refit.cost <= fit.cost or moved < ENOUGH_PIXELS:
                break
            step = step / 2
        if refit.cost > fit.cost:
            break
        parameters, fit = trial, refit
        if moved < ENOUGH_PIXELS:
            break
    return parameters, fit


@dataclass(frozen=True)
class _Fit:
    """Gain and offset of best fit at given parameters, over pixels that both captures have."""

    gain: float
    offset: float
    cost: float
    correlation: float
    inside: np.ndarray
    places: np.ndarray
    values: np.ndarray
    residual: np.ndarray


def _fit(measured: _Seen, splines: Splines, parameters: np.ndarray) -> _Fit:
    places = splines.sources(parameters)
    inside = splines.inside(places) & measured.covered
    if inside.sum() < inside.size / 4:  # a step far off: nothing to compare
        nothing = np.zeros((len(measured.flat), 0))
        return _Fit(0.0, 0.0, np.inf, 0.0, inside, places, nothing, nothing)
    places, seen = places[:, inside], measured.flat[:, inside]
    values = splines.read(places)
    x, y = values - values.mean(), seen - seen.mean()
    power = (x * x).sum()
    gain = float((x * y).sum() / power) if power > 0 else 0.0
    residual = y - gain * x
    spread = np.sqrt(power * (y * y).sum())
    correlation = float((x * y).sum() / spread) if spread > 0 else 0.0
    offset = float(seen.mean() - gain * values.mean())
    cost = float((residual**2).mean())
    return _Fit(gain, offset, cost, correlation, inside, places, values, residual)


def _step(
    splines: Splines, parameters: np.ndarray, fit: _Fit, free: np.ndarray | None = None
) -> np.ndarray:
    """Gauss-Newton: the change of shift, angle and scale, with gain and offset left free."""
    if not fit.residual.size:
        return np.zeros(4)
    J = _slopes(splines, parameters, fit)
    if free is not None:
        J[:, :4] *= free
    gram, balance = _balance(J.T @ J)
    return (np.linalg.solve(gram, balance * (J.T @ fit.residual.ravel())) * balance)[:4]


def _deviations(splines: Splines, parameters: np.ndarray, fit: _Fit) -> np.ndarray:
    """Standard deviations of shift, angle and scale, (4,); infinite where nothing was compared."""
    if not fit.residual.size:
        return np.full(4, np.inf)
    J = _slopes(splines, parameters, fit)
    gram, balance = _balance(J.T @ J)
    variance = (fit.residual**2).sum() / max(1, fit.residual.size - len(gram))
    return np.sqrt(variance * np.linalg.inv(gram).diagonal().clip(0))[:4] * balance[:4]


def _balance(gram: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``J'J`` with a unit diagonal, made regular, and what its rows and columns were scaled by."""
    level = np.maximum(gram.diagonal(), 1e-12 * gram.diagonal().max()) + 1e-300
    balance = 1 / np.sqrt(level)
    return gram * balance[:, None] * balance + 1e-9 * np.eye(len(gram)), balance


def _slopes(splines: Splines, parameters: np.ndarray, fit: _Fit) -> np.ndarray:
    """How the captures change with shift y and x, angle, scale, gain and offset, (N P, 6)."""
    angle, scale = parameters[2], parameters[3]
    slopes = splines.slope(fit.places)
    from_centre = fit.places - splines.centre  # q = R(-angle) (p - c - shift) / scale
    back = turn(-angle) / scale
    moves = [-back[:, [0]] * np.ones_like(from_centre), -back[:, [1]] * np.ones_like(from_centre)]
    moves += [np.stack([-from_centre[1], from_centre[0]]), -from_centre / scale]
    columns = [fit.gain * (slopes[0] * m[0] + slopes[1] * m[1]).ravel() for m in moves]
    columns += [fit.values.ravel(), np.ones(fit.values.size)]
    return np.stack(columns, 1)
