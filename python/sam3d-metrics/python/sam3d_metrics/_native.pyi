from typing import Literal, Optional, Sequence, TypedDict, Union, final

import numpy as np
import numpy.typing as npt

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
    "compute_dice_coefficient",
    "compute_surface_distances",
    "corrective_click",
    "distance_transform_mm",
    "error_components",
    "holm",
    "intensity_statistics",
    "measure_mask",
    "summary",
    "wilcoxon_signed_rank",
]

_Mask = npt.ArrayLike
_Voxel = tuple[int, int, int]
_Spacing = Union[Sequence[float], npt.NDArray[np.floating]]
_Scores = Union[Sequence[float], npt.NDArray[np.floating]]
_Labels = Union[npt.NDArray[np.uint8], npt.NDArray[np.uint16]]
_Connectivity = Literal["faces", "edges", "corners"]
_Rule = Literal["largest", "deepest", "imed3d", "random"]

class _SurfaceDistances(TypedDict):
    distances_gt_to_pred: npt.NDArray[np.float64]
    distances_pred_to_gt: npt.NDArray[np.float64]
    surfel_areas_gt: npt.NDArray[np.float64]
    surfel_areas_pred: npt.NDArray[np.float64]

class _Measurements(TypedDict):
    voxels: int
    volume_mm3: float
    bounding_box: tuple[list[int], list[int]]
    bounding_box_mm: list[float]
    axial_slice: int
    axial_longest_mm: float
    axial_longest_ends: list[list[float]]
    axial_perpendicular_mm: float
    axial_perpendicular_ends: list[list[float]]
    longest_mm: float
    longest_ends: list[list[float]]
    components: int
    largest_component_voxels: int

class _Intensities(TypedDict):
    mean: float
    median: float
    std: float
    minimum: float
    maximum: float

@final
class Comparison:
    def __new__(cls, truth: _Mask, prediction: _Mask, spacing_mm: _Spacing) -> Comparison: ...
    @property
    def truth_voxels(self) -> int: ...
    @property
    def prediction_voxels(self) -> int: ...
    @property
    def shared_voxels(self) -> int: ...
    @property
    def dice(self) -> Optional[float]: ...
    @property
    def iou(self) -> Optional[float]: ...
    @property
    def volume_error_mm3(self) -> float: ...
    @property
    def relative_volume_error(self) -> Optional[float]: ...
    @property
    def average_symmetric_mm(self) -> Optional[float]: ...
    @property
    def average_mm(self) -> tuple[Optional[float], Optional[float]]: ...
    def nsd(self, tolerance_mm: float) -> Optional[float]: ...
    def surface_overlap(self, tolerance_mm: float) -> tuple[Optional[float], Optional[float]]: ...
    def hausdorff_mm(self, percent: float = 100.0) -> Optional[float]: ...

@final
class Component:
    @property
    def voxels(self) -> int: ...
    @property
    def start(self) -> _Voxel: ...
    @property
    def end(self) -> _Voxel: ...
    def __eq__(self, other: object, /) -> bool: ...

@final
class ErrorComponent:
    @property
    def voxels(self) -> int: ...
    @property
    def start(self) -> _Voxel: ...
    @property
    def end(self) -> _Voxel: ...
    def contains(self, voxel: _Voxel) -> bool: ...
    def depth_map_mm(self, spacing_mm: _Spacing) -> npt.NDArray[np.float32]: ...
    def deepest(self, spacing_mm: _Spacing) -> tuple[_Voxel, float]: ...

@final
class CorrectiveClick:
    @property
    def voxel(self) -> _Voxel: ...
    @property
    def positive(self) -> bool: ...
    @property
    def component_voxels(self) -> int: ...
    @property
    def depth_mm(self) -> float: ...
    def __eq__(self, other: object, /) -> bool: ...

@final
class Summary:
    @property
    def count(self) -> int: ...
    @property
    def mean(self) -> float: ...
    @property
    def std(self) -> float: ...
    def __eq__(self, other: object, /) -> bool: ...

@final
class SignedRank:
    @property
    def pairs(self) -> int: ...
    @property
    def positive_ranks(self) -> float: ...
    @property
    def p(self) -> float: ...
    @property
    def exact(self) -> bool: ...
    def __eq__(self, other: object, /) -> bool: ...

def compute_surface_distances(mask_gt: _Mask, mask_pred: _Mask, spacing_mm: _Spacing) -> _SurfaceDistances: ...
def compute_dice_coefficient(mask_gt: _Mask, mask_pred: _Mask) -> float: ...
def compare_labels(
    truth: _Labels, prediction: _Labels, spacing_mm: _Spacing, labels: Optional[Sequence[int]] = None
) -> dict[int, Comparison]: ...
def components(mask: _Mask, connectivity: _Connectivity = "corners") -> list[Component]: ...
def error_components(truth: _Mask, prediction: _Mask) -> list[ErrorComponent]: ...
def corrective_click(
    truth: _Mask,
    prediction: _Mask,
    spacing_mm: _Spacing,
    rule: _Rule = "largest",
    rng: Optional[np.random.Generator] = None,
) -> Optional[CorrectiveClick]: ...
def distance_transform_mm(mask: _Mask, spacing_mm: _Spacing) -> npt.NDArray[np.float32]: ...
def measure_mask(
    mask: _Mask, world_from_voxel: Union[Sequence[Sequence[float]], npt.NDArray[np.floating]]
) -> Optional[_Measurements]: ...
def intensity_statistics(image: npt.ArrayLike, mask: _Mask) -> Optional[_Intensities]: ...
def summary(values: _Scores) -> Optional[Summary]: ...
def bootstrap_mean(
    values: _Scores, resamples: int = 2000, level: float = 0.95, seed: int = 0
) -> Optional[tuple[float, float]]: ...
def bootstrap_ratio(
    pairs: Union[Sequence[Sequence[float]], npt.NDArray[np.floating]],
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Optional[tuple[float, float]]: ...
def wilcoxon_signed_rank(first: _Scores, second: _Scores) -> Optional[SignedRank]: ...
def holm(p_values: _Scores) -> list[float]: ...
def click_auc(scores: _Scores) -> Optional[tuple[float, float]]: ...
def clicks_to_reach(scores: _Scores, target: float) -> Optional[int]: ...
