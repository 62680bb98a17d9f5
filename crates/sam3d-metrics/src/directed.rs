use crate::{Percentile, Tolerance};

/// Distances in mm from every element of one surface to the nearest element of another, weighted by the elements' areas.
///
/// "This" surface is the one the distances start from.
#[derive(Debug, Clone, PartialEq)]
pub struct DirectedDistances {
    /// The distinct distances, ascending: on a grid far fewer than there are elements.
    distances_mm: Vec<f64>,
    /// Area, in squared units, of the elements up to and including each distance; as long as `distances_mm`.
    cumulated_area: Vec<f64>,
    unit_mm: f64,
    average_mm: Option<f64>,
}

impl DirectedDistances {
    /// From distances in units of `unit_mm` millimetres, a power of two, with an area in squared units; in any order.
    pub(crate) fn new(mut weighted: Vec<Weighted>, unit_mm: f64) -> Self {
        merge_equal(&mut weighted);
        let mut area = 0.0;
        let cumulated_area: Vec<f64> = weighted
            .iter()
            .map(|element| {
                area += element.area;
                area
            })
            .collect();
        let average = weighted.iter().map(|element| element.distance * element.area).sum::<f64>() / area;
        let average_mm = (area > 0.0).then_some(average * unit_mm);
        let distances_mm = weighted.iter().map(|element| element.distance * unit_mm).collect();
        Self { distances_mm, cumulated_area, unit_mm, average_mm }
    }

    /// Area of this surface in mm²; 0 if its mask is empty.
    pub fn area_mm2(&self) -> f64 {
        self.area() * self.unit_mm * self.unit_mm
    }

    /// Area of this surface in squared units, which neither overflows nor vanishes.
    pub(crate) fn area(&self) -> f64 {
        self.cumulated_area.last().copied().unwrap_or(0.0)
    }

    /// Area, in squared units, of the part of this surface whose distance to the other is at most `tolerance`.
    pub(crate) fn area_within(&self, tolerance: Tolerance) -> f64 {
        let within = self.distances_mm.partition_point(|distance| *distance <= tolerance.mm());
        if within == 0 { 0.0 } else { self.cumulated_area[within - 1] }
    }

    /// Share of this surface whose distance to the other is at most `tolerance`.
    ///
    /// `None` if this surface is empty; 0 if only the other one is.
    pub fn overlap(&self, tolerance: Tolerance) -> Option<f64> {
        (self.area() > 0.0).then(|| self.area_within(tolerance) / self.area())
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
        let total = self.area();
        let first = self.cumulated_area.partition_point(|area| area / total < wanted);
        self.distances_mm.get(first).copied()
    }

    /// Whether the mask this surface belongs to is empty.
    pub fn is_empty(&self) -> bool {
        self.distances_mm.is_empty()
    }
}

/// A part of a surface with one distance, in units.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Weighted {
    pub(crate) distance: f64,
    pub(crate) area: f64,
}

/// Sorts by distance and merges elements of equal distance.
pub(crate) fn merge_equal(weighted: &mut Vec<Weighted>) {
    // By area, too, so that the sums do not depend on the order at the start.
    let order =
        |a: &Weighted, b: &Weighted| a.distance.total_cmp(&b.distance).then(a.area.total_cmp(&b.area));
    weighted.sort_unstable_by(order);
    weighted.dedup_by(|next, kept| {
        let equal = next.distance == kept.distance;
        if equal {
            kept.area += next.area;
        }
        equal
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distances(weighted: &[(f64, f64)]) -> DirectedDistances {
        let weighted = weighted.iter().map(|(distance, area)| Weighted { distance: *distance, area: *area });
        DirectedDistances::new(weighted.collect(), 1.0)
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
        let none = DirectedDistances::new(vec![], 1.0);
        assert_eq!((none.average_mm(), none.percentile_mm(Percentile::P95)), (None, None));
        assert_eq!((none.overlap(Tolerance::PUBLISHED), none.area_mm2()), (None, 0.0));
    }
}
