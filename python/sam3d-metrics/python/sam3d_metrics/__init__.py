"""Segmentation metrics in millimetres.

The functions of the package surface-distance, under the same names and with the same results, but faster::

    import sam3d_metrics as surface_distance

and beside them Comparison (all scores of a pair of masks, in less memory), compare_labels, connected components,
error components and corrective clicks, measurements of a mask, and statistics of scores.

Masks are numpy arrays, in three dimensions [D, H, W]; every value but 0 belongs to a mask. Booleans and integers of one byte are
read where they lie, in C or Fortran order and with strides of either sign; arrays of other numbers are compared with 0 first.
"""

from ._native import (
    Comparison,
    Component,
    CorrectiveClick,
    ErrorComponent,
    SignedRank,
    Summary,
    bootstrap_mean,
    bootstrap_ratio,
    click_auc,
    clicks_to_reach,
    compare_labels,
    components,
    compute_dice_coefficient,
    compute_surface_distances,
    corrective_click,
    distance_transform_mm,
    error_components,
    holm,
    intensity_statistics,
    measure_mask,
    summary,
    wilcoxon_signed_rank,
)
from ._surface_distance import (
    compute_average_surface_distance,
    compute_robust_hausdorff,
    compute_surface_dice_at_tolerance,
    compute_surface_overlap_at_tolerance,
)

__all__ = [
    "Comparison",
    "Component",
    "CorrectiveClick",
    "ErrorComponent",
    "SignedRank",
    "Summary",
    "bootstrap_mean",
    "bootstrap_ratio",
    "click_auc",
    "clicks_to_reach",
    "compare_labels",
    "components",
    "compute_average_surface_distance",
    "compute_dice_coefficient",
    "compute_robust_hausdorff",
    "compute_surface_dice_at_tolerance",
    "compute_surface_distances",
    "compute_surface_overlap_at_tolerance",
    "corrective_click",
    "distance_transform_mm",
    "error_components",
    "holm",
    "intensity_statistics",
    "measure_mask",
    "summary",
    "wilcoxon_signed_rank",
]
