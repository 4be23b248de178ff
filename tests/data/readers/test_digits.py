import torch
from sklearn.datasets import load_digits

from hybridonn.data.readers.digits import read_digits


def test_all_digits_with_their_grey_values():
    unsplit = read_digits()
    bunch = load_digits()
    images = unsplit.images.images
    assert images.shape == (1797, 1, 8, 8)
    assert images.dtype == torch.uint8
    assert unsplit.images.labels.dtype == torch.int64
    assert unsplit.images.labels.tolist() == bunch.target.tolist()
    assert unsplit.classes == tuple("0123456789")
    assert unsplit.test is None
    expected = [round(value * 255 / 16) for value in bunch.images.flatten().tolist()]
    assert images.flatten().tolist() == expected
    assert (int(images.min()), int(images.max())) == (0, 255)
