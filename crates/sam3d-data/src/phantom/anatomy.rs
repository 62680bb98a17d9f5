//! What a phantom shows: the torso and its organs. Lesions are placed by [`super::lesions`].

use std::f64::consts::{FRAC_PI_2, PI};

use rand::{Rng, RngExt};

use super::{
    lesions,
    noise::SmoothNoise,
    shape::{Blob, Point, Shape, Tube, along, random_direction},
};

/// What is painted, in order, and what counts as target.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) layers: Vec<Layer>,
    pub(super) tumours: Vec<Shape>,
    pub(super) noise_hu: f32,
}

/// A shape filled with one material.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) shape: Shape,
    /// Distance by which the shape is grown (or shrunk) before it is painted.
    pub(super) grow_mm: f64,
    pub(super) hu: f64,
    /// Mottling: a pattern and its amplitude in HU.
    pub(super) texture: Option<(SmoothNoise, f64)>,
}

impl Layer {
    pub(super) fn new(shape: Shape, hu: f64) -> Self {
        Self { shape, grow_mm: 0.0, hu, texture: None }
    }

    pub(super) fn grown(mut self, grow_mm: f64) -> Self {
        self.grow_mm = grow_mm;
        self
    }

    pub(super) fn mottled(mut self, rng: &mut impl Rng, scale_mm: f64, amplitude_hu: f64) -> Self {
        self.texture = Some((SmoothNoise::draw(rng, scale_mm), amplitude_hu));
        self
    }
}

/// The liver, in which the lesions lie.
#[derive(Debug)]
pub(super) struct Liver {
    pub(super) centre: Point,
    pub(super) shape: Shape,
    pub(super) hu: f64,
}

/// The outer surface and how deep the layers below it are.
#[derive(Debug)]
struct Torso {
    surface: Shape,
    half_height_mm: f64,
    half_width_mm: f64,
    muscle_depth_mm: f64,
    cavity_depth_mm: f64,
}

impl Torso {
    fn draw(rng: &mut impl Rng) -> Self {
        let half_width_mm = rng.random_range(58.0..63.0);
        let half_height_mm = rng.random_range(46.0..50.0);
        // It goes on above and below the field of view.
        let surface = Blob::new([0.0; 3], [600.0, half_height_mm, half_width_mm]).bumpy(rng, 45.0, 2.5);
        let muscle_depth_mm = rng.random_range(4.0..8.0);
        let cavity_depth_mm = muscle_depth_mm + rng.random_range(3.5..5.5);
        Self {
            surface: Shape::Blob(surface),
            half_height_mm,
            half_width_mm,
            muscle_depth_mm,
            cavity_depth_mm,
        }
    }

    /// The part of `shape` that the muscle wall leaves room for.
    fn inside(&self, shape: Shape) -> Shape {
        shape.within(&self.surface, -self.cavity_depth_mm - 0.5)
    }
}

/// What stands in the field of view of one phantom; later layers cover earlier ones.
pub(super) fn draw_scene(rng: &mut impl Rng) -> Scene {
    let mut layers = Vec::new();
    let torso = Torso::draw(rng);
    paint_torso(&mut layers, rng, &torso);
    paint_bowel(&mut layers, rng, &torso);
    let liver = paint_organs(&mut layers, rng, &torso);
    paint_vessels(&mut layers, rng, &liver);
    paint_skeleton(&mut layers, rng, &torso);
    let tumours = lesions::paint(&mut layers, rng, &liver);
    Scene { layers, tumours, noise_hu: rng.random_range(8.0..10.0) }
}

/// Skin, fat rim, muscle wall with the muscles of the back, and the fat between the organs.
fn paint_torso(layers: &mut Vec<Layer>, rng: &mut impl Rng, torso: &Torso) {
    let at_depth = |hu, depth_mm: f64| Layer::new(torso.surface.clone(), hu).grown(-depth_mm);
    layers.push(at_depth(20.0, 0.0));
    layers.push(at_depth(-105.0, 1.5).mottled(rng, 12.0, 10.0));
    let muscle_hu = rng.random_range(62.0..78.0);
    layers.push(at_depth(muscle_hu, torso.muscle_depth_mm).mottled(rng, 9.0, 12.0));
    layers.push(at_depth(-98.0, torso.cavity_depth_mm).mottled(rng, 7.0, 14.0));
    for side in [-1.0, 1.0] {
        let psoas = vec![[-70.0, 22.0, 20.0 * side], [0.0, 23.0, 16.0 * side], [70.0, 24.0, 13.0 * side]];
        layers.push(
            Layer::new(Shape::Tube(Tube::new(psoas, [9.0, 5.0])), muscle_hu + 3.0).mottled(rng, 5.0, 10.0),
        );
        let back = vec![[-90.0, 35.0, 14.0 * side], [90.0, 35.0, 14.0 * side]];
        let back = Shape::Tube(Tube::new(back, [9.0; 2])).within(&torso.surface, -torso.muscle_depth_mm);
        layers.push(Layer::new(back, muscle_hu).mottled(rng, 5.0, 14.0));
    }
}

/// Loops of bowel, some with gas, and a stomach on the left with a bubble in front.
fn paint_bowel(layers: &mut Vec<Layer>, rng: &mut impl Rng, torso: &Torso) {
    for loop_number in 0..rng.random_range(6..10) {
        let start =
            [rng.random_range(-58.0..-4.0), rng.random_range(-26.0..6.0), rng.random_range(6.0..36.0)];
        let path = wander(rng, start, 6, 10.0);
        let radius = rng.random_range(3.5..6.0);
        let wall = Shape::Tube(Tube::new(path.clone(), [radius + 2.0; 2]));
        layers.push(Layer::new(torso.inside(wall), rng.random_range(60.0..95.0)));
        let content = if loop_number % 5 == 0 { -850.0 } else { rng.random_range(25.0..90.0) };
        let lumen =
            Shape::Tube(Tube::new(path, [radius; 2])).within(&torso.surface, -torso.cavity_depth_mm - 2.0);
        layers.push(Layer::new(lumen, content).mottled(rng, 3.0, 25.0));
    }
    let stomach = Blob::new([rng.random_range(14.0..28.0), -14.0, 24.0], [20.0, 14.0, 17.0])
        .turned(rng, 0.5)
        .bumpy(rng, 14.0, 2.0);
    let stomach = torso.inside(Shape::Blob(stomach));
    layers.push(Layer::new(stomach.clone(), 75.0));
    layers.push(Layer::new(stomach.clone(), 25.0).grown(-3.0).mottled(rng, 4.0, 20.0));
    let gas = Blob::new([20.0, -24.0, 24.0], [14.0, 6.0, 12.0]);
    layers.push(Layer::new(Shape::Blob(gas).within(&stomach, -3.0), -900.0));
}

/// Spleen and kidneys, and the liver, which is returned.
fn paint_organs(layers: &mut Vec<Layer>, rng: &mut impl Rng, torso: &Torso) -> Liver {
    let liver_hu = rng.random_range(100.0..122.0);
    let spleen = Blob::new([rng.random_range(10.0..30.0), 14.0, 42.0], [24.0, 17.0, 9.0])
        .turned(rng, 0.3)
        .bumpy(rng, 15.0, 2.0);
    let spleen_hu = liver_hu + rng.random_range(-8.0..15.0);
    layers.push(Layer::new(torso.inside(Shape::Blob(spleen)), spleen_hu).mottled(rng, 4.0, 6.0));

    // Larger than the room there is: the wall and the kidney shape it, as they do a real one.
    let centre = [rng.random_range(4.0..12.0), rng.random_range(-9.0..-4.0), rng.random_range(-24.0..-19.0)];
    let shape = Blob::new(
        centre,
        [rng.random_range(38.0..44.0), rng.random_range(30.0..34.0), rng.random_range(36.0..41.0)],
    )
    .turned(rng, 0.25)
    .bumpy(rng, 24.0, 7.0);
    let shape = torso.inside(Shape::Blob(shape));
    layers.push(Layer::new(shape.clone(), liver_hu).mottled(rng, 6.0, 5.0));

    for side in [-1.0, 1.0] {
        let height = rng.random_range(-42.0..-32.0);
        paint_kidney(layers, rng, [height, 19.0, 30.0 * side]);
    }
    Liver { centre, shape, hu: liver_hu }
}

/// A bright cortex around darker pyramids, with fluid in the middle.
fn paint_kidney(layers: &mut Vec<Layer>, rng: &mut impl Rng, centre: Point) {
    let kidney = Blob::new(centre, [22.0, 11.0, 10.0]).turned(rng, 0.25).bumpy(rng, 9.0, 1.5);
    layers.push(Layer::new(Shape::Blob(kidney.clone()), rng.random_range(150.0..175.0)));
    layers.push(Layer::new(Shape::Blob(kidney.clone()), 105.0).grown(-3.5).mottled(rng, 5.0, 45.0));
    let pelvis = Blob::new(centre, [9.0, 3.5, 4.0]).bumpy(rng, 5.0, 1.5);
    layers.push(Layer::new(Shape::Blob(pelvis), rng.random_range(0.0..15.0)));
    if rng.random_bool(0.5) {
        let radius = rng.random_range(3.5..6.0);
        let cyst = along(centre, random_direction(rng), 10.0);
        layers.push(Layer::new(Shape::Blob(Blob::ball(cyst, radius)), rng.random_range(60.0..90.0)));
    }
}

/// Aorta, vena cava, and a tree of vessels in the liver.
fn paint_vessels(layers: &mut Vec<Layer>, rng: &mut impl Rng, liver: &Liver) {
    let upright = |y: f64, x: f64| {
        vec![[-80.0, y, x], [-20.0, y - 1.0, x + 1.0], [30.0, y + 1.0, x], [80.0, y, x - 1.0]]
    };
    let aorta_hu = rng.random_range(150.0..190.0);
    layers.push(Layer::new(Shape::Tube(Tube::new(upright(13.0, 6.0), [6.5, 7.5])), aorta_hu));
    let cava = Shape::Tube(Tube::new(upright(11.0, -10.0), [6.0, 7.0]));
    layers.push(Layer::new(cava, rng.random_range(115.0..140.0)));

    let vessel_hu = liver.hu + rng.random_range(28.0..45.0);
    let hilum = along(liver.centre, [-0.3, 0.5, 0.8], 18.0);
    for _ in 0..rng.random_range(6..9) {
        let path = wander(rng, hilum, 6, 9.0);
        let tube = Shape::Tube(Tube::new(path, [rng.random_range(2.2..3.2), 0.9]));
        layers.push(Layer::new(tube.within(&liver.shape, -3.0), vessel_hu));
    }
}

/// Vertebrae with discs, canal and processes, and ribs along the wall.
fn paint_skeleton(layers: &mut Vec<Layer>, rng: &mut impl Rng, torso: &Torso) {
    let rib_depth_mm = 0.5 * (torso.muscle_depth_mm + torso.cavity_depth_mm);
    let column = |y: f64| vec![[-90.0, y, 0.0], [90.0, y, 0.0]];
    let body = Shape::Tube(Tube::new(column(27.0), [12.0; 2]));
    layers.push(Layer::new(body.clone(), 420.0));
    layers.push(Layer::new(body, 190.0).grown(-1.8).mottled(rng, 2.5, 90.0));
    let first_disc = rng.random_range(-75.0..-55.0);
    for disc in 0..6 {
        let z = first_disc + 26.0 * f64::from(disc);
        layers.push(Layer::new(Shape::Blob(Blob::new([z, 27.0, 0.0], [3.5, 12.5, 12.5])), 85.0));
        let process = Tube::new(vec![[z + 10.0, 38.0, 0.0], [z + 5.0, 46.0, 0.0]], [3.0, 2.0]);
        layers.push(Layer::new(Shape::Tube(process), 380.0));
        for side in [-1.0, 1.0] {
            let arch =
                Tube::new(vec![[z + 13.0, 34.0, 9.0 * side], [z + 11.0, 40.0, 2.0 * side]], [3.0, 2.5]);
            layers.push(Layer::new(Shape::Tube(arch), 380.0));
        }
    }
    layers.push(Layer::new(Shape::Tube(Tube::new(column(38.0), [5.0; 2])), 35.0));

    for side in [-1.0, 1.0] {
        for rib in 0..4 {
            let top = -20.0 + 22.0 * f64::from(rib) + rng.random_range(-2.0..2.0);
            let path = (0..12)
                .map(|step| {
                    let turn = FRAC_PI_2 - f64::from(step) / 11.0 * 0.85 * PI;
                    let drop = 2.0 * f64::from(step);
                    [
                        top - drop,
                        (torso.half_height_mm - rib_depth_mm) * turn.sin(),
                        side * (torso.half_width_mm - rib_depth_mm) * turn.cos(),
                    ]
                })
                .collect();
            let path = Shape::Tube(Tube::new(path, [2.8, 2.2]));
            layers.push(Layer::new(path.clone(), 380.0));
            layers.push(Layer::new(path, 170.0).grown(-1.3));
        }
    }
}

/// A path of `steps` steps of `step_mm` that turns at random but never back.
fn wander(rng: &mut impl Rng, start: Point, steps: usize, step_mm: f64) -> Vec<Point> {
    let mut heading = random_direction(rng);
    let mut path = vec![start];
    let mut here = start;
    for _ in 0..steps {
        let turn = random_direction(rng);
        let turned: Point = std::array::from_fn(|axis| heading[axis] + 0.55 * turn[axis]);
        let length = turned.iter().map(|v| v * v).sum::<f64>().sqrt();
        heading = turned.map(|v| v / length);
        here = along(here, heading, step_mm);
        path.push(here);
    }
    path
}
