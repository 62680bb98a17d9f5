//! The lower envelope of parabolas along one line (Felzenszwalb and Huttenlocher 2012).

/// `height + (step * (x - at))²` for whole `x` of one line, the lowest of them for each `x`.
pub(crate) struct Envelope {
    length: usize,
    /// One over the squared step, in mm⁻².
    per_mm2: f64,
    /// `0.5 / n` by `n`: a division for each parabola costs more than the rest of its work.
    half_over: Vec<f64>,
    parabolas: Vec<Parabola>,
}

#[derive(Clone, Copy)]
struct Parabola {
    /// `height / step² + at²`: two parabolas cross at half the difference of these over the difference of their places.
    offset: f64,
    at: u16,
    /// First `x` at which it is lower than the one before it.
    from: u32,
    tag: u32,
}

impl Envelope {
    /// For lines of `length` places, `step_mm` apart.
    pub(crate) fn new(length: usize, step_mm: f64) -> Self {
        Self {
            length,
            per_mm2: 1.0 / (step_mm * step_mm),
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

    /// Adds a parabola to the right of all others.
    #[inline]
    pub(crate) fn push(&mut self, at: u16, height_mm2: f64, tag: u32) {
        let x = f64::from(at);
        let offset = height_mm2 * self.per_mm2 + x * x;
        let mut from = 0;
        while let Some(last) = self.parabolas.last() {
            let crossing = (offset - last.offset) * self.half_over[usize::from(at - last.at)];
            // The first whole place beyond the crossing; the cast takes what lies before the line to 0.
            from = if crossing < 0.0 { 0 } else { crossing as u32 + 1 };
            if from > last.from {
                break;
            }
            self.parabolas.pop();
            from = 0;
        }
        if (from as usize) < self.length {
            self.parabolas.push(Parabola { offset, at, from, tag });
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
