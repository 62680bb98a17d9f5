"""The functions of the package surface-distance that work on the result of compute_surface_distances.

Sums are numpy's, so that results agree with that package's also where a share of the area lies exactly on a limit.
"""

from __future__ import annotations

from typing import Mapping

import numpy as np
import numpy.typing as npt

_Array = npt.NDArray[np.float64]

_DIRECTIONS = (
    ("distances_gt_to_pred", "surfel_areas_gt"),
    ("distances_pred_to_gt", "surfel_areas_pred"),
)


def _both_directions(surface_distances: Mapping[str, _Array]) -> list[tuple[_Array, _Array]]:
    """Distances and areas of the ground truth's elements, and of the prediction's."""
    return [
        (np.asarray(surface_distances[distances]), np.asarray(surface_distances[areas]))
        for distances, areas in _DIRECTIONS
    ]


def _ratio(part: float, whole: float) -> float:
    """part / whole; NaN if there is no whole."""
    return float(part / whole) if whole > 0 else float("nan")


def compute_average_surface_distance(surface_distances: Mapping[str, _Array]) -> tuple[float, float]:
    """Average distances in mm from the ground truth's surface to the prediction's, and back, weighted by area.

    NaN from an empty mask, infinite to one. surface_distances is the result of compute_surface_distances.
    """
    truth, prediction = (
        _ratio(np.sum(distances * areas), np.sum(areas)) for distances, areas in _both_directions(surface_distances)
    )
    return truth, prediction


def compute_robust_hausdorff(surface_distances: Mapping[str, _Array], percent: float) -> float:
    """Hausdorff distance in mm at a percentile (0 to 100) of each surface's area; infinite if a mask is empty.

    surface_distances is the result of compute_surface_distances.
    """
    farthest = []
    for distances, areas in _both_directions(surface_distances):
        if len(distances) == 0:
            return float("inf")
        reached = np.cumsum(areas) / np.sum(areas)
        first = int(np.searchsorted(reached, percent / 100.0))
        farthest.append(float(distances[min(first, len(distances) - 1)]))
    return max(farthest)


def compute_surface_overlap_at_tolerance(
    surface_distances: Mapping[str, _Array], tolerance_mm: float
) -> tuple[float, float]:
    """Fractions of the ground truth's surface and of the prediction's within tolerance_mm of the other; NaN of an empty mask.

    surface_distances is the result of compute_surface_distances.
    """
    truth, prediction = (
        _ratio(np.sum(areas[distances <= tolerance_mm]), np.sum(areas))
        for distances, areas in _both_directions(surface_distances)
    )
    return truth, prediction


def compute_surface_dice_at_tolerance(surface_distances: Mapping[str, _Array], tolerance_mm: float) -> float:
    """Surface Dice (normalized surface dice): the fraction of both surfaces within tolerance_mm of the other.

    NaN if both masks are empty, 0 if one is. surface_distances is the result of compute_surface_distances.
    """
    directions = _both_directions(surface_distances)
    within = sum(np.sum(areas[distances <= tolerance_mm]) for distances, areas in directions)
    return _ratio(within, sum(np.sum(areas) for _, areas in directions))
