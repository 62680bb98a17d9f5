use crate::{Percentile, Tolerance};

/// Distances in mm from every element of one surface to the nearest element of another, weighted by the elements' areas.
///
/// "This" surface is the one the distances start from.
#[derive(Debug, Clone, PartialEq)]
pub struct DirectedDistances {
    /// Each distance that occurs, ascending. On a grid far fewer occur than there are elements.
    distances_mm: Vec<f64>,
    /// Area of the elements up to and including each distance; as long as `distances_mm`.
    cumulated_area_mm2: Vec<f64>,
    average_mm: Option<f64>,
}

impl DirectedDistances {
    /// From distances in mm with an area in mm², in any order.
    pub(crate) fn new(mut weighted: Vec<Weighted>) -> Self {
        merge_equal(&mut weighted);
        let mut area_mm2 = 0.0;
        let cumulated_area_mm2: Vec<f64> = weighted
            .iter()
            .map(|element| {
                area_mm2 += element.area_mm2;
                area_mm2
            })
            .collect();
        let average_mm = (area_mm2 > 0.0).then(|| {
            weighted.iter().map(|element| element.distance_mm * element.area_mm2).sum::<f64>() / area_mm2
        });
        let distances_mm = weighted.iter().map(|element| element.distance_mm).collect();
        Self { distances_mm, cumulated_area_mm2, average_mm }
    }

    /// Area of this surface in mm²; 0 if its mask is empty.
    pub fn area_mm2(&self) -> f64 {
        self.cumulated_area_mm2.last().copied().unwrap_or(0.0)
    }

    /// Area in mm² of the part of this surface whose distance to the other is at most `tolerance`.
    pub fn area_within_mm2(&self, tolerance: Tolerance) -> f64 {
        let within = self.distances_mm.partition_point(|distance| *distance <= tolerance.mm());
        if within == 0 { 0.0 } else { self.cumulated_area_mm2[within - 1] }
    }

    /// Share of this surface whose distance to the other is at most `tolerance`.
    ///
    /// `None` if this surface is empty; 0 if only the other one is.
    pub fn overlap(&self, tolerance: Tolerance) -> Option<f64> {
        (!self.is_empty()).then(|| self.area_within_mm2(tolerance) / self.area_mm2())
    }

    /// Mean distance, weighted by area.
    ///
    /// `None` if this surface is empty; infinite if only the other one is.
    pub fn average_mm(&self) -> Option<f64> {
        self.average_mm
    }

    /// The distance below which `percentile` of this surface's area lies: the first element, by distance, at which the
    /// share of the area reaches it.
    ///
    /// `None` if this surface is empty; infinite if only the other one is.
    pub fn percentile_mm(&self, percentile: Percentile) -> Option<f64> {
        let wanted = percentile.percent() / 100.0;
        let total = self.area_mm2();
        let first = self.cumulated_area_mm2.partition_point(|area| area / total < wanted);
        self.distances_mm.get(first).copied()
    }

    /// Whether the mask this surface belongs to is empty.
    pub fn is_empty(&self) -> bool {
        self.distances_mm.is_empty()
    }
}

/// A part of a surface with one distance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Weighted {
    pub(crate) distance_mm: f64,
    pub(crate) area_mm2: f64,
}

/// Sorts by distance and makes one of all with the same.
pub(crate) fn merge_equal(weighted: &mut Vec<Weighted>) {
    // By area, too, so that the sums do not depend on the order at the start.
    let order = |a: &Weighted, b: &Weighted| {
        a.distance_mm.total_cmp(&b.distance_mm).then(a.area_mm2.total_cmp(&b.area_mm2))
    };
    weighted.sort_unstable_by(order);
    weighted.dedup_by(|next, kept| {
        let equal = next.distance_mm == kept.distance_mm;
        if equal {
            kept.area_mm2 += next.area_mm2;
        }
        equal
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distances(weighted: &[(f64, f64)]) -> DirectedDistances {
        let weighted = weighted
            .iter()
            .map(|(distance_mm, area_mm2)| Weighted { distance_mm: *distance_mm, area_mm2: *area_mm2 });
        DirectedDistances::new(weighted.collect())
    }

    #[test]
    fn weights_are_areas() {
        let distances = distances(&[(4.0, 1.0), (0.0, 2.0), (2.0, 1.5), (2.0, 3.5)]);
        let at = |mm| Tolerance::new(mm).unwrap();
        assert_eq!(distances.area_mm2(), 8.0);
        assert_eq!(distances.average_mm(), Some(14.0 / 8.0));
        assert_eq!(distances.overlap(at(1.9)), Some(0.25));
        assert_eq!(distances.overlap(at(2.0)), Some(0.875), "a distance equal to the tolerance is within it");
        assert_eq!(distances.percentile_mm(Percentile::new(25.0).unwrap()), Some(0.0));
        assert_eq!(distances.percentile_mm(Percentile::new(26.0).unwrap()), Some(2.0));
        assert_eq!(distances.percentile_mm(Percentile::MAX), Some(4.0));
    }

    #[test]
    fn an_empty_surface_has_no_distances() {
        let none = DirectedDistances::new(vec![]);
        assert_eq!((none.average_mm(), none.percentile_mm(Percentile::P95)), (None, None));
        assert_eq!((none.overlap(Tolerance::PUBLISHED), none.area_mm2()), (None, 0.0));
    }
}
