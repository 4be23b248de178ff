"""A name, the seed and an index make every generator, and nothing else does."""

import ast
from collections import defaultdict
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

import hybridonn
from hybridonn.core.random import (
    generator_of,
    numpy_generator_of,
    seed_32_of,
    seed_of,
    seeded,
    sorting_keys,
)

SOURCE = Path(hybridonn.__file__).parent
# Calls by which torch, numpy, scikit-learn and Python make or set a source of randomness.
MAKERS = {
    "Generator", "MT19937", "PCG64", "PCG64DXSM", "Philox", "Random", "RandomState", "SFC64",
    "SeedSequence", "SystemRandom", "default_rng", "fork_rng", "manual_seed", "manual_seed_all",
    "seed", "set_rng_state",
}  # fmt: skip
# Draws of torch that take numbers from a hidden generator where none is given.
DRAWS = {
    "bernoulli", "multinomial", "normal", "poisson", "rand", "rand_like", "randint",
    "randint_like", "randn", "randn_like", "randperm",
}  # fmt: skip
# Masks start, as the weights of every layer do, within the ``seeded`` of build_student; pixels of a
# step are drawn, as dropout is, within the ``seeded`` of the epoch.
WITHIN_SEEDED = {"networks/frontends/four_f.py", "tasks/pixels.py"}
# Depends on torch alone, and so takes seeds and generators from its callers.
APART = "tangent/"


@cache
def sources():
    names = {path.relative_to(SOURCE).as_posix(): path for path in SOURCE.rglob("*.py")}
    return [
        (name, ast.parse(path.read_text("utf-8")))
        for name, path in sorted(names.items())
        if name != "core/random.py" and not name.startswith(APART)
    ]


def calls(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func
            name = getattr(called, "attr", None) or getattr(called, "id", "")
            yield name, node


def test_every_draw_is_of_one_generator_that_its_parts_decide():
    draws = {
        parts: tuple(torch.rand(3, generator=generator_of(*parts)).tolist())
        for parts in [
            ("a", 0), ("b", 0), ("a", 1), ("a", 0, 0), ("a", 0, 1), ("a", 1, 0), ("a",),
            ("a", "0"), ("a, 0",),
        ]
    }  # fmt: skip
    assert len(set(draws.values())) == len(draws)
    for parts, draw in draws.items():
        assert tuple(torch.rand(3, generator=generator_of(*parts)).tolist()) == draw


def test_seeds_are_those_that_published_weights_hang_on():
    # sha256 of the parts as Python prints them, its first 63 bits.
    assert seed_of("student", 0) == 5303739715073949512
    assert seed_of("order", 3, 11) == 7664484170104003954
    assert seed_of("watched signs") == 3910054930710312974
    assert sorting_keys(2, 5).tolist() == [14849682912918955432, 14903876974979881461]


def test_an_integer_is_the_same_index_whatever_library_it_is_of():
    assert seed_of("a", np.int64(3), torch.tensor(4)) == seed_of("a", 3, 4)


@pytest.mark.parametrize("parts", [(1, 2), ("a", 0.5), ("a", None), ("a", (1, 2))])
def test_other_parts_are_refused(parts):
    with pytest.raises(TypeError):
        seed_of(*parts)


def test_numpy_and_32_bits_follow_the_same_rule():
    first = numpy_generator_of("a", 0).random(3)
    assert (first == numpy_generator_of("a", 0).random(3)).all()
    assert (first != numpy_generator_of("b", 0).random(3)).all()
    assert (first != numpy_generator_of("a", 1).random(3)).all()
    assert 0 <= seed_32_of("a", 0) < 2**32
    assert seed_32_of("a", 0) == seed_of("a", 0) % 2**32


def test_what_takes_no_generator_is_seeded_and_leaves_no_trace():
    before = torch.random.get_rng_state()
    with seeded("a", 0):
        first = torch.rand(3)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first, torch.rand(3, generator=generator_of("a", 0)))


def test_nothing_else_makes_a_generator():
    found = [
        f"{name}:{node.lineno} calls {called}"
        for name, tree in sources()
        for called, node in calls(tree)
        if called in MAKERS
    ]
    assert found == []


def test_no_draw_takes_a_hidden_generator():
    found = [
        f"{name}:{node.lineno} draws by {called}"
        for name, tree in sources()
        for called, node in calls(tree)
        if called in DRAWS
        and name not in WITHIN_SEEDED
        and not {"generator", "random_state"} & {keyword.arg for keyword in node.keywords}
    ]
    assert found == []


def test_no_module_uses_hidden_generators_of_python_or_numpy():
    found = []
    for name, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                imported = [alias.name for alias in node.names]
            else:
                imported = [node.module] if isinstance(node, ast.ImportFrom) else []
            if {"random", "secrets", "numpy.random"} & set(imported):
                found.append(f"{name}:{node.lineno} imports {imported}")
            named = ast.unparse(node) if isinstance(node, ast.Attribute) else ""
            if named in {"np.random", "numpy.random"}:
                found.append(f"{name}:{node.lineno} uses numpy.random")
            if isinstance(node, ast.keyword) and node.arg == "random_state":
                made = {called for called, _ in calls(node.value)}
                if not made & {"seed_32_of", "numpy_generator_of"}:
                    found.append(f"{name}:{node.value.lineno} states random_state")
    assert found == []


def test_no_two_places_draw_by_one_name():
    """The same name and number of indices at two places would be the same draws."""
    places = defaultdict(set)
    for name, tree in sources():
        for called, node in calls(tree):
            if called in {"generator_of", "numpy_generator_of", "seed_of", "seed_32_of", "seeded"}:
                assert node.args, f"{name}:{node.lineno} names no draw"
                place = f"{name}:{node.lineno}"
                places[ast.unparse(node.args[0]), len(node.args)].add(place)
    assert {key: found for key, found in places.items() if len(found) > 1} == {}
