use ndarray::{Array2, ArrayView2, ArrayView3, Axis, Slice};

use super::{
    Overlay,
    canvas::{Canvas, Colour},
};

/// Bluish green, light.
const TRUTH: Colour = [60, 230, 170];
/// Orange.
const PREDICTION: Colour = [255, 140, 0];
/// Width of an outline.
const OUTLINE_PIXELS: i64 = 2;

/// One of the three anatomical planes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plane {
    Axial,
    Coronal,
    Sagittal,
}

impl Plane {
    pub(super) const ALL: [Self; 3] = [Self::Axial, Self::Coronal, Self::Sagittal];

    /// The array axes that are fixed, that run down and that run right.
    fn axes(self) -> [usize; 3] {
        match self {
            Self::Axial => [0, 1, 2],
            Self::Coronal => [1, 0, 2],
            Self::Sagittal => [2, 0, 1],
        }
    }

    /// The slice of `volume` at `index`, `[row, column]` as it is shown.
    fn cut<'a, T>(self, volume: ArrayView3<'a, T>, index: usize) -> ArrayView2<'a, T> {
        let [fixed, down, _] = self.axes();
        // What is left keeps its order, which is [down, right] for all three planes.
        let mut slice = volume.index_axis_move(Axis(fixed), index);
        if down == 0 {
            // D runs to superior, which is up.
            slice.slice_axis_inplace(Axis(0), Slice::new(0, None, -1));
        }
        slice
    }
}

/// The picture of one plane through the click.
pub(super) fn draw(overlay: &Overlay<'_>, plane: Plane, pixels_per_mm: f64) -> Canvas {
    let [fixed, down, right] = plane.axes();
    let index = overlay.click[fixed];
    let mm = overlay.spacing.mm();
    let pixels_per_voxel = [mm[down] * pixels_per_mm, mm[right] * pixels_per_mm];
    let image = plane.cut(overlay.image, index);
    let scaled = Scaled::new(image.dim().into(), pixels_per_voxel);

    let [low, high] = overlay.window_hu;
    let mut canvas = Canvas(Array2::from_shape_fn(scaled.pixels, |pixel| {
        let share = (scaled.sample(image, pixel, |hu| hu) - low) / (high - low);
        [(share.clamp(0.0, 1.0) * 255.0).round() as u8; 3]
    }));
    if let Some(truth) = overlay.truth {
        let inside = scaled.mask(plane.cut(truth, index));
        outline(&mut canvas, &inside, Side::Outside, TRUTH);
    }
    let inside = scaled.mask(plane.cut(overlay.prediction, index));
    outline(&mut canvas, &inside, Side::Inside, PREDICTION);

    let row = if down == 0 { image.nrows() - 1 - overlay.click[0] } else { overlay.click[down] };
    let centre = |voxel: usize, scale: f64| ((voxel as f64 + 0.5) * scale - 0.5).round() as i64;
    canvas.cross([centre(row, pixels_per_voxel[0]), centre(overlay.click[right], pixels_per_voxel[1])]);
    canvas
}

/// A slice's pixels: every voxel drawn `pixels_per_voxel` large.
struct Scaled {
    voxels: [usize; 2],
    pixels: (usize, usize),
    pixels_per_voxel: [f64; 2],
}

impl Scaled {
    fn new(voxels: [usize; 2], pixels_per_voxel: [f64; 2]) -> Self {
        let size = |axis: usize| ((voxels[axis] as f64 * pixels_per_voxel[axis]).round() as usize).max(1);
        Self { voxels, pixels: (size(0), size(1)), pixels_per_voxel }
    }

    /// Bilinear value of `slice` at the middle of `pixel`; edges repeated.
    fn sample<T: Copy>(
        &self,
        slice: ArrayView2<'_, T>,
        pixel: (usize, usize),
        value: impl Fn(T) -> f32,
    ) -> f32 {
        let along = |axis: usize, pixel: usize| {
            let last = self.voxels[axis] - 1;
            let position = ((pixel as f64 + 0.5) / self.pixels_per_voxel[axis] - 0.5).clamp(0.0, last as f64);
            let lower = position as usize;
            (lower, (lower + 1).min(last), (position - lower as f64) as f32)
        };
        let (top, bottom, down) = along(0, pixel.0);
        let (left, right, across) = along(1, pixel.1);
        let row = |r: usize| value(slice[[r, left]]) * (1.0 - across) + value(slice[[r, right]]) * across;
        row(top) * (1.0 - down) + row(bottom) * down
    }

    fn mask(&self, slice: ArrayView2<'_, u8>) -> Array2<bool> {
        Array2::from_shape_fn(self.pixels, |pixel| {
            self.sample(slice, pixel, |label| f32::from(u8::from(label != 0))) > 0.5
        })
    }
}

/// On which side of a border its outline lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Inside,
    Outside,
}

fn outline(canvas: &mut Canvas, inside: &Array2<bool>, side: Side, colour: Colour) {
    let own = side == Side::Inside;
    for ((row, column), pixel) in canvas.0.indexed_iter_mut() {
        if inside[[row, column]] == own && reaches(inside, [row, column], !own) {
            *pixel = colour;
        }
    }
}

/// Whether a pixel with the value `wanted` lies within the outline's width of `[row, column]`.
fn reaches(inside: &Array2<bool>, [row, column]: [usize; 2], wanted: bool) -> bool {
    let reach = -OUTLINE_PIXELS..=OUTLINE_PIXELS;
    let mut offsets = reach.clone().flat_map(|down| reach.clone().map(move |across| [down, across]));
    offsets.any(|[down, across]| {
        let within = down * down + across * across <= OUTLINE_PIXELS * OUTLINE_PIXELS;
        let neighbour = row.checked_add_signed(down as isize).zip(column.checked_add_signed(across as isize));
        within && neighbour.and_then(|index| inside.get(index)).is_some_and(|value| *value == wanted)
    })
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;
    use sam3d_geom::Spacing;

    use super::*;

    /// A bright voxel that is superior, anterior and on the patient's right.
    fn corner() -> Array3<f32> {
        let mut image = Array3::zeros((4, 4, 4));
        image[[3, 0, 0]] = 100.0;
        image
    }

    #[test]
    fn radiological_convention() {
        let image = corner();
        // Axial: right and anterior are at the upper left.
        assert_eq!(Plane::Axial.cut(image.view(), 3)[[0, 0]], 100.0);
        // Coronal: superior is up, right on the left.
        assert_eq!(Plane::Coronal.cut(image.view(), 0)[[0, 0]], 100.0);
        // Sagittal: superior is up, anterior on the left.
        assert_eq!(Plane::Sagittal.cut(image.view(), 0)[[0, 0]], 100.0);
    }

    #[test]
    fn equal_masks_show_both_outlines_and_the_click_is_marked() {
        let image = Array3::from_elem((8, 8, 8), 50.0f32);
        let mut mask = Array3::<u8>::zeros((8, 8, 8));
        mask.slice_mut(ndarray::s![2..6, 2..6, 2..6]).fill(1);
        let overlay = Overlay {
            image: image.view(),
            spacing: Spacing::new([2.0, 1.0, 1.0]).unwrap(),
            window_hu: [0.0, 100.0],
            click: [1, 3, 4],
            truth: Some(mask.view()),
            prediction: mask.view(),
        };
        let coronal = draw(&overlay, Plane::Coronal, 20.0);
        assert_eq!(coronal.0.dim(), (320, 160));
        for colour in [TRUTH, PREDICTION] {
            assert!(coronal.0.iter().any(|pixel| *pixel == colour), "{colour:?}");
        }
        // Slice 1 of 8 from below is row 6 from above; its centre is at (6 + 0.5) * 40 pixels.
        let white: Vec<_> = coronal.0.indexed_iter().filter(|(_, pixel)| **pixel == [255; 3]).collect();
        let middle =
            white.iter().fold([0, 0], |sum, ((r, c), _)| [sum[0] + r, sum[1] + c]).map(|s| s / white.len());
        assert_eq!(middle, [260, 90]);
    }
}
