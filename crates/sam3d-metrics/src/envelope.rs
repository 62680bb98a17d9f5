//! The lower envelope of parabolas along one line (Felzenszwalb and Huttenlocher 2012).

use std::ops::Range;

/// `height + (step * (x - at))²` for whole `x` of one line, the lowest of them for each `x`.
pub(crate) struct Envelope {
    length: usize,
    /// One over the squared step; finite also where the squared step is 0 in double precision.
    per_squared_step: f64,
    /// `0.5 / n` by `n`: a division for each parabola costs more than the rest of its work.
    half_over: Vec<f64>,
    parabolas: Vec<Parabola>,
}

#[derive(Clone, Copy)]
struct Parabola {
    height: f64,
    at: u16,
    /// First `x` at which it is lower than the one before it.
    from: u32,
    tag: u32,
}

impl Envelope {
    /// For lines of `length` places, `step` apart.
    pub(crate) fn new(length: usize, step: f64) -> Self {
        Self {
            length,
            per_squared_step: (1.0 / (step * step)).min(f64::MAX),
            half_over: (0..length.max(1)).map(|n| 0.5 / n as f64).collect(),
            parabolas: Vec::with_capacity(length),
        }
    }

    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// Calls `lowest(x, tag)` with the tag of the lowest parabola at each place, ascending; not at all without parabolas.
    ///
    /// `parabolas` are place, height (squared, in the unit of the step) and tag, ascending by place. One of height 0 is a
    /// seed: no parabola reaches beyond it, so that places between neighbouring seeds cost next to nothing.
    #[inline]
    pub(crate) fn for_each_lowest(
        &mut self,
        parabolas: impl Iterator<Item = (u16, f64, u32)>,
        mut lowest: impl FnMut(usize, u32),
    ) {
        self.parabolas.clear();
        let mut start = 0;
        for (at, height, tag) in parabolas {
            if height > 0.0 {
                self.push(at, height, tag);
                continue;
            }
            let end = usize::from(at) + 1;
            if end - start > 1 {
                self.push(at, height, tag);
                self.report(start..end, &mut lowest);
            } else {
                lowest(usize::from(at), tag);
            }
            start = end;
            self.parabolas.clear();
            self.parabolas.push(Parabola { height, at, from: 0, tag });
        }
        self.report(start..self.length, lowest);
    }

    /// Adds a parabola to the right of all others.
    #[inline]
    fn push(&mut self, at: u16, height: f64, tag: u32) {
        let mut from = 0;
        while let Some(last) = self.parabolas.last() {
            // Midway between the two places where the heights are equal, towards the higher parabola where they differ.
            let towards = (height - last.height) * self.per_squared_step;
            let middle = 0.5 * (f64::from(at) + f64::from(last.at));
            let crossing = middle + towards * self.half_over[usize::from(at - last.at)];
            // The first whole place beyond the crossing. A cast from floating point saturates, so a crossing far beyond
            // the line (a small step beside a large spacing of another axis) must not be incremented past the largest.
            from = if crossing < 0.0 { 0 } else { (crossing as u32).saturating_add(1) };
            if from > last.from {
                break;
            }
            self.parabolas.pop();
            from = 0;
        }
        if (from as usize) < self.length {
            self.parabolas.push(Parabola { height, at, from, tag });
        }
    }

    #[inline]
    fn report(&self, places: Range<usize>, mut lowest: impl FnMut(usize, u32)) {
        for (i, parabola) in self.parabolas.iter().enumerate() {
            let end = self.parabolas.get(i + 1).map_or(places.end, |next| places.end.min(next.from as usize));
            for x in places.start.max(parabola.from as usize)..end {
                lowest(x, parabola.tag);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(length: usize, step: f64, parabolas: &[(u16, f64, u32)]) -> Vec<u32> {
        let mut tags = Vec::new();
        Envelope::new(length, step).for_each_lowest(parabolas.iter().copied(), |x, tag| {
            assert_eq!(x, tags.len());
            tags.push(tag);
        });
        tags
    }

    #[test]
    fn a_crossing_beyond_the_largest_integer() {
        // The parabolas cross at 1e25 places: the lower one has the whole line, whichever comes first.
        assert_eq!(tags(4, 1e-6, &[(0, 1.0, 7), (1, 2e13, 8)]), [7; 4]);
        assert_eq!(tags(4, 1e-6, &[(0, 2e13, 7), (1, 1.0, 8)]), [8; 4]);
    }

    #[test]
    fn a_step_whose_square_is_zero() {
        assert_eq!(tags(5, 1e-200, &[(0, 0.0, 1), (2, 1.0, 2), (4, 0.0, 3)]), [1, 1, 1, 3, 3]);
        assert_eq!(tags(5, 1e-200, &[(1, 2.0, 1), (2, 1.0, 2), (4, 2.0, 3)]), [2; 5]);
    }

    #[test]
    fn seeds_side_by_side_and_apart() {
        let parabolas = [(0, 5.0, 1), (2, 0.0, 2), (3, 0.0, 3), (4, 0.9, 4), (5, 0.5, 5), (8, 0.0, 6)];
        assert_eq!(tags(10, 1.0, &parabolas), [2, 2, 2, 3, 4, 5, 5, 6, 6, 6]);
        assert!(tags(3, 1.0, &[]).is_empty());
    }
}
