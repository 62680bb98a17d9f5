"""Synthetic CTs for the tests: a soft ball in a box of tissue, oblique and with unequal spacing."""

import pathlib

import numpy as np
import pytest

import sam3d

REPOSITORY = pathlib.Path(__file__).parents[3]


def ball(shape_kji, centre_kji, radius_mm, spacing_kji):
    k, j, i = np.ogrid[tuple(slice(n) for n in shape_kji)]
    parts = zip((k, j, i), centre_kji, spacing_kji)
    return sum(((x - c) * mm) ** 2 for x, c, mm in parts) <= radius_mm**2


class Case:
    """A volume in HU with one target, and its files."""

    def __init__(self, directory, seed):
        rng = np.random.default_rng(seed)
        spacing_ijk, shape_kji = (1.5, 1.25, 2.0), (40, 64, 72)
        self.centre_ijk = (33 + seed, 30, 20)
        self.mask = ball(shape_kji, self.centre_ijk[::-1], 22, spacing_ijk[::-1])
        hu = rng.normal(-100, 12, shape_kji)
        hu[self.mask] += 120
        hu[:, :6] = -1000
        angle = 0.1
        turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        affine = np.eye(4)
        # i to the left, j to posterior, k to superior.
        affine[:3, :3] = turn @ np.diag([-1.5, -1.25, 2.0])
        affine[:3, 3] = (60.0, 45.5, -310.25)
        self.hu, self.affine = np.rint(hu).astype(np.int16), affine
        self.volume = sam3d.Volume(self.hu, affine)
        self.image_path, self.label_path = directory / f"ct{seed}.nii.gz", directory / f"mask{seed}.nii.gz"
        sam3d.write(self.image_path, self.hu, like=self.volume)
        sam3d.write(self.label_path, self.mask, like=self.volume)


@pytest.fixture(scope="session")
def case(tmp_path_factory):
    return Case(tmp_path_factory.mktemp("case"), 1)


@pytest.fixture(scope="session")
def cases(tmp_path_factory):
    directory = tmp_path_factory.mktemp("cases")
    return [Case(directory, seed) for seed in range(3)]


@pytest.fixture(scope="session")
def segmenter():
    return sam3d.Segmenter()


@pytest.fixture(scope="session")
def preprocessing():
    return sam3d.Preprocessing(clip_hu=(-160, 240), mean=40, std=80, spacing_mm=(2, 2, 2))


@pytest.fixture
def fixtures():
    """Files of other formats, which the crate that reads them is tested with."""
    return REPOSITORY / "crates/sam3d-io/tests/fixtures"
