"""The lists that state the grid of a map."""

import pytest

from hybridonn.core.errors import SpecError
from hybridonn.studies.regimes_grid import parse_discrepancies, parse_epochs, parse_images


@pytest.mark.parametrize(
    ("parse", "text", "said"),
    [
        (parse_images, "100,some", "--images: 'some' is not allowed; allowed are whole numbers"),
        (parse_images, "0", "--images 0: allowed is 1 to"),
        (parse_images, "all,all", "named twice"),
        (parse_images, "200,all,0200", "--images: 200 is named twice; name each once"),
        (parse_epochs, "all", "--epochs: 'all' is not allowed"),
        (parse_epochs, "3,", "an entry between commas is empty"),
        (parse_discrepancies, "cka,ridge", "'ridge' is unknown; allowed is any of cka, "),
    ],
)
def test_what_is_no_list_of_the_kind_is_refused(parse, text, said):
    with pytest.raises(SpecError, match=said):
        parse(text)


def test_lists_are_read():
    assert parse_images("10, all") == (10, None)
    assert parse_epochs("1,20") == (1, 20)
    assert parse_discrepancies("cka") == ("cka",)
