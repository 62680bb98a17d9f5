//! Tumours, which are the target, and cysts of the same mean intensity, which are not.

use rand::{Rng, RngExt};

use super::{
    anatomy::{Layer, Liver},
    shape::{Blob, Point, Shape, along, random_direction},
};

/// Tries before a lesion that finds no room is left out.
const TRIES: usize = 60;

/// Paints cysts and tumours into the liver and returns the tumours' shapes.
pub(super) fn paint(layers: &mut Vec<Layer>, rng: &mut impl Rng, liver: &Liver) -> Vec<Shape> {
    let tumour_hu = liver.hu - rng.random_range(24.0..30.0);
    let tumours = draw_tumours(rng, liver);
    for cyst in draw_cysts(rng, liver, &tumours) {
        layers.push(Layer::new(cyst, tumour_hu + rng.random_range(-4.0..4.0)));
    }
    // All capsules first: a capsule must not cross a neighbouring tumour.
    for tumour in &tumours {
        layers.push(Layer::new(tumour.clone(), liver.hu + 14.0).grown(1.6));
    }
    for tumour in &tumours {
        layers.push(Layer::new(tumour.clone(), tumour_hu).mottled(rng, 4.5, 9.0));
    }
    tumours
}

/// One tumour of about 10 to 17 mm equivalent radius, and up to two small satellites close to it: one crop around any
/// voxel of theirs is to hold them all, since they bear one label.
fn draw_tumours(rng: &mut impl Rng, liver: &Liver) -> Vec<Shape> {
    let radius_mm = rng.random_range(11.0..17.5);
    let centre = (0..TRIES)
        .map(|_| along(liver.centre, random_direction(rng), rng.random_range(0.0..24.0)))
        .find(|centre| liver.shape.distance_mm(*centre) < -0.8 * radius_mm)
        .unwrap_or(liver.centre);
    let primary = draw_tumour(rng, centre, radius_mm).within(&liver.shape, 2.0);
    let mut tumours = vec![primary];
    for _ in 0..[0, 0, 1, 2][rng.random_range(0..4)] {
        let radius_mm = rng.random_range(4.0..6.5);
        let place = (0..TRIES)
            .map(|_| along(centre, random_direction(rng), rng.random_range(14.0..36.0)))
            .find(|place| {
                let gap = clearance_mm(&tumours, *place) - radius_mm;
                (2.5..8.0).contains(&gap) && liver.shape.distance_mm(*place) < -radius_mm
            });
        if let Some(place) = place {
            let satellite = Blob::ball(place, radius_mm).bumpy(rng, 0.8 * radius_mm, 0.25 * radius_mm);
            tumours.push(Shape::Blob(satellite));
        }
    }
    tumours
}

/// An elongated body with two or three lobes, bumpy at the scale of its radius.
fn draw_tumour(rng: &mut impl Rng, centre: Point, radius_mm: f64) -> Shape {
    let stretch: f64 = rng.random_range(1.1..1.45);
    let narrow = 0.88 * radius_mm / stretch.sqrt();
    let body = Blob::new(centre, [0.88 * radius_mm * stretch, narrow, narrow])
        .turned(rng, std::f64::consts::PI)
        .bumpy(rng, 0.75 * radius_mm, 0.3 * radius_mm);
    let mut lobes = vec![body];
    for _ in 0..rng.random_range(2..4) {
        let size = radius_mm * rng.random_range(0.4..0.6);
        let place = along(centre, random_direction(rng), radius_mm * rng.random_range(0.6..0.85));
        lobes.push(Blob::ball(place, size).bumpy(rng, 0.6 * size, 0.3 * size));
    }
    Shape::Lobed(lobes)
}

/// Smooth balls in the liver, clear of the tumours.
fn draw_cysts(rng: &mut impl Rng, liver: &Liver, tumours: &[Shape]) -> Vec<Shape> {
    let mut cysts: Vec<Shape> = Vec::new();
    for _ in 0..rng.random_range(3..6) {
        let radius_mm = rng.random_range(4.5..9.5);
        let place = (0..TRIES)
            .map(|_| along(liver.centre, random_direction(rng), rng.random_range(8.0..44.0)))
            .find(|place| {
                liver.shape.distance_mm(*place) < -0.5 * radius_mm
                    && clearance_mm(tumours, *place) > radius_mm + 4.0
                    && clearance_mm(&cysts, *place) > radius_mm + 2.0
            });
        if let Some(place) = place {
            cysts.push(Shape::Blob(Blob::ball(place, radius_mm)).within(&liver.shape, 1.0));
        }
    }
    cysts
}

/// Distance from `place` to the nearest of `shapes`.
fn clearance_mm(shapes: &[Shape], place: Point) -> f64 {
    shapes.iter().map(|shape| shape.distance_mm(place)).fold(f64::INFINITY, f64::min)
}
