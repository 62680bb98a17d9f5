//! Surface area of each of the 256 ways in which the eight corners of a cube lie inside or outside a mask.
//!
//! The surface is that of marching cubes (Lorensen and Cline 1987) with its vertices at the middle of the cut edges.
//! Corner `4d + 2h + w` of the cube is bit `4d + 2h + w` of the code. Instead of a list of triangles for 256 codes, each
//! code's surface is built from what defines it:
//!
//! - A code with more than four corners set has the surface of its complement, so at most four corners are inside.
//! - Corners joined by edges of the cube form a piece; each piece is cut off on its own, by one closed polygon through
//!   the middles of the edges that leave the piece. On each face of the cube such a polygon has one side or none.
//! - The classic triangles fill that polygon with flat parts: a triangle, a rectangle or a regular hexagon is flat; an
//!   L of three corners gives a flat trapezoid and, at the corner where the L bends, a triangle; a chain of four corners
//!   gives a triangle of every second vertex and three triangles around it. (Either choice of the second vertices has
//!   the same area on any grid: half a turn about one axis maps one onto the other.)
//!
//! A stretched grid keeps flat parts flat, so the area is that of the parts after scaling by the spacing.

/// Area of the surface inside a cube of eight neighbouring voxel centres, by code; in the squared unit of `spacing`.
pub(crate) fn areas(spacing: [f64; 3]) -> [f64; 256] {
    std::array::from_fn(|code| {
        let code = code as u8;
        let inside = if code.count_ones() > 4 { !code } else { code };
        pieces(inside).iter().map(|piece| polygon_area(&polygon(*piece), spacing)).sum()
    })
}

/// An edge that leaves a piece, named by its corner inside and its corner outside.
#[derive(Clone, Copy, PartialEq)]
struct CutEdge {
    inside: u8,
    outside: u8,
}

impl CutEdge {
    /// Whether one face of the cube has both edges: then all four corners agree in one coordinate.
    fn shares_face(self, other: Self) -> bool {
        let corners = [self.inside, self.outside, other.inside, other.outside];
        let all_far = corners.iter().fold(0b111, |bits, corner| bits & corner);
        let all_near = corners.iter().fold(0b111, |bits, corner| bits & !corner);
        (all_far | all_near) != 0
    }

    fn middle(self, spacing: [f64; 3]) -> [f64; 3] {
        std::array::from_fn(|axis| {
            let coordinate = |corner: u8| f64::from(corner >> (2 - axis) & 1);
            0.5 * (coordinate(self.inside) + coordinate(self.outside)) * spacing[axis]
        })
    }
}

/// The corners of `inside`, split into sets that edges of the cube hold together.
fn pieces(inside: u8) -> Vec<u8> {
    let mut left = inside;
    let mut pieces = Vec::new();
    while left != 0 {
        let mut piece = 1 << left.trailing_zeros();
        loop {
            let grown = corners(piece).fold(piece, |grown, corner| grown | (neighbours(corner) & inside));
            if grown == piece {
                break;
            }
            piece = grown;
        }
        pieces.push(piece);
        left &= !piece;
    }
    pieces
}

/// The edges that leave `piece`, in the order in which the polygon passes them.
fn polygon(piece: u8) -> Vec<CutEdge> {
    let mut edges: Vec<CutEdge> = corners(piece)
        .flat_map(|inside| {
            corners(neighbours(inside) & !piece).map(move |outside| CutEdge { inside, outside })
        })
        .collect();
    // Each face has two of the edges or none, so whichever shares a face with the last one is its neighbour.
    for last in 0..edges.len().saturating_sub(1) {
        if let Some(next) = (last + 1..edges.len()).find(|i| edges[last].shares_face(edges[*i])) {
            edges.swap(last + 1, next);
        }
    }
    edges
}

fn polygon_area(edges: &[CutEdge], spacing: [f64; 3]) -> f64 {
    let count = edges.len();
    let bend = |edge: CutEdge| edges.iter().filter(|other| other.inside == edge.inside).count() == 1;
    let is_ear = |i: usize| match count {
        5 => bend(edges[i]),
        6 => i % 2 == 1,
        _ => false,
    };
    let vertices: Vec<[f64; 3]> = edges.iter().map(|edge| edge.middle(spacing)).collect();
    let ears = (0..count)
        .filter(|i| is_ear(*i))
        .map(|i| flat_area(&[vertices[(i + count - 1) % count], vertices[i], vertices[(i + 1) % count]]));
    let core: Vec<[f64; 3]> = (0..count).filter(|i| !is_ear(*i)).map(|i| vertices[i]).collect();
    ears.sum::<f64>() + flat_area(&core)
}

/// Area of a flat polygon: half the length of the sum of its vertices' successive cross products.
fn flat_area(vertices: &[[f64; 3]]) -> f64 {
    let mut sum = [0.0; 3];
    for (i, a) in vertices.iter().enumerate() {
        let b = vertices[(i + 1) % vertices.len()];
        for (axis, total) in sum.iter_mut().enumerate() {
            let (next, after) = ((axis + 1) % 3, (axis + 2) % 3);
            *total += a[next] * b[after] - a[after] * b[next];
        }
    }
    0.5 * sum.iter().map(|s| s * s).sum::<f64>().sqrt()
}

/// The corners whose bit is set in `set`.
fn corners(set: u8) -> impl Iterator<Item = u8> {
    (0..8).filter(move |corner| set >> corner & 1 == 1)
}

/// The three corners one edge away from `corner`, as a set.
fn neighbours(corner: u8) -> u8 {
    1 << (corner ^ 1) | 1 << (corner ^ 2) | 1 << (corner ^ 4)
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;

    #[test]
    fn areas_of_known_shapes() {
        let areas = areas([2.0, 3.0, 5.0]);
        assert_eq!((areas[0], areas[255]), (0.0, 0.0));
        // Half the cube, cut across D: the whole cross-section H x W.
        assert_relative_eq!(areas[0b0000_1111], 15.0, max_relative = 1e-12);
        // An edge along W: from the middle of the D edge to the middle of the H edge, times W.
        assert_relative_eq!(areas[0b0000_0011], 5.0 * 1f64.hypot(1.5), max_relative = 1e-12);
        // One corner: the triangle that cuts half of each edge.
        let corner = 0.5 * ((1.0f64 * 1.5).powi(2) + (1.0f64 * 2.5).powi(2) + (1.5f64 * 2.5).powi(2)).sqrt();
        assert_relative_eq!(areas[1], corner, max_relative = 1e-12);
        // Two opposite corners are cut off one by one.
        assert_relative_eq!(areas[0b1000_0001], 2.0 * corner, max_relative = 1e-12);
    }

    #[test]
    fn areas_of_bent_surfaces_on_a_unit_grid() {
        let areas = areas([1.0; 3]);
        // An L: a right triangle of legs 1 beside the bend, and a trapezoid of parallel sides √2 and 1/√2.
        let trapezoid = 0.5 * (2f64.sqrt() + 0.5f64.sqrt()) * 0.375f64.sqrt();
        assert_relative_eq!(areas[0b0000_0111], 0.5 + trapezoid, max_relative = 1e-12);
        // A corner and its three neighbours: a regular hexagon of side 1/√2.
        assert_relative_eq!(areas[0b0001_0111], 0.75 * 3f64.sqrt(), max_relative = 1e-12);
    }

    #[test]
    fn a_code_and_its_complement_have_one_surface() {
        let areas = areas([0.7, 1.3, 2.5]);
        for code in 0..256 {
            assert_relative_eq!(areas[code], areas[255 - code], max_relative = 1e-12);
        }
    }

    #[test]
    fn mirroring_a_code_keeps_its_area() {
        let areas = areas([0.7, 1.3, 2.5]);
        for code in 0..=255u8 {
            for axis in [1, 2, 4] {
                let mirrored = corners(code).fold(0u8, |set, corner| set | 1 << (corner ^ axis));
                let (a, b) = (areas[usize::from(code)], areas[usize::from(mirrored)]);
                assert_relative_eq!(a, b, max_relative = 1e-12);
            }
        }
    }
}
