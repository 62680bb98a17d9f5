//! The lower envelope of parabolas along one line (Felzenszwalb and Huttenlocher 2012).

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

    pub(crate) fn clear(&mut self) {
        self.parabolas.clear();
    }

    /// Adds a parabola to the right of all others; its height is squared in the unit of the step.
    #[inline]
    pub(crate) fn push(&mut self, at: u16, height: f64, tag: u32) {
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

    /// Calls `lowest(x, tag)` with the tag of the lowest parabola at each place, ascending; not at all without parabolas.
    #[inline]
    pub(crate) fn for_each_lowest(&self, mut lowest: impl FnMut(usize, u32)) {
        for (i, parabola) in self.parabolas.iter().enumerate() {
            let end = self.parabolas.get(i + 1).map_or(self.length, |next| next.from as usize);
            for x in parabola.from as usize..end {
                lowest(x, parabola.tag);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(envelope: &Envelope) -> Vec<u32> {
        let mut tags = Vec::new();
        envelope.for_each_lowest(|x, tag| {
            assert_eq!(x, tags.len());
            tags.push(tag);
        });
        tags
    }

    #[test]
    fn a_crossing_beyond_the_largest_integer() {
        // The parabolas cross at 1e25 places: the lower one has the whole line, whichever comes first.
        let mut envelope = Envelope::new(4, 1e-6);
        envelope.push(0, 0.0, 7);
        envelope.push(1, 2e13, 8);
        assert_eq!(tags(&envelope), [7; 4]);
        envelope.clear();
        envelope.push(0, 2e13, 7);
        envelope.push(1, 0.0, 8);
        assert_eq!(tags(&envelope), [8; 4]);
    }

    #[test]
    fn a_step_whose_square_is_zero() {
        let mut envelope = Envelope::new(5, 1e-200);
        envelope.push(0, 0.0, 1);
        envelope.push(2, 1.0, 2);
        envelope.push(4, 0.0, 3);
        assert_eq!(tags(&envelope), [1, 1, 1, 3, 3]);
    }
}
