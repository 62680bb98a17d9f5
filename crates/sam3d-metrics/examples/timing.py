"""Times the Python package `surface-distance-based-measures` on what `examples/timing.rs` leaves in a directory, and compares."""

import json
import pathlib
import sys
import time

import numpy as np
import surface_distance

directory = pathlib.Path(sys.argv[1])
for described in sorted(directory.glob("*.json")):
    pair = json.loads(described.read_text())
    truth, prediction = (
        np.fromfile(directory / f"{described.stem}-{which}.raw", np.uint8).reshape(pair["shape"]).astype(bool)
        for which in ("truth", "prediction")
    )
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        distances = surface_distance.compute_surface_distances(truth, prediction, pair["spacing_mm"])
        numbers = [
            surface_distance.compute_dice_coefficient(truth, prediction),
            surface_distance.compute_surface_dice_at_tolerance(distances, 1.0),
            surface_distance.compute_surface_dice_at_tolerance(distances, 5.0),
            surface_distance.compute_robust_hausdorff(distances, 95),
            *surface_distance.compute_average_surface_distance(distances),
        ]
        best = min(best, time.perf_counter() - start)
    for number, other in zip(numbers, pair["numbers"], strict=True):
        assert abs(number - other) <= 1e-6 * abs(number), (described.stem, number, other)
    ratio = 1000 * best / pair["best_ms"]
    print(f"{described.stem}: Python {1000 * best:.0f} ms, Rust {pair['best_ms']:.1f} ms, ratio {ratio:.1f}")
