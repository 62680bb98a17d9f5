//! A client of nnInteractive's protocol: it keeps a mask and pastes into it what the server says has changed.

use std::{fs, path::Path};

use ndarray::{Array3, s};
use sam3d_geom::Affine;
use sam3d_io::{Grid, ValueType, Volume};
use sam3d_nnia::{ElementType, unpack};
use serde_json::{Value, json};

use crate::{
    bright,
    support::{Reply, Served, agent, reply},
};

pub(super) struct Viewer<'a> {
    served: &'a Served,
    lease: String,
    pub(super) mask: Array3<u8>,
}

impl<'a> Viewer<'a> {
    /// A client that has claimed a lease and sent the image `body`.
    pub(super) fn with_image(served: &'a Served, body: &[u8], spacing: [f64; 3]) -> Self {
        let mut viewer = Self::new(served);
        let meta = json!({ "image_properties": { "spacing": spacing } });
        let told = viewer.send("/set_image", Some(&meta), body);
        assert_eq!(told.status, 200, "{}", told.text());
        let [_, k, j, i]: [usize; 4] =
            serde_json::from_value(told.json()["original_image_shape"].clone()).unwrap();
        let told = viewer.post("/set_target_buffer", &json!({ "shape": [k, j, i], "dtype": "uint8" }));
        assert_eq!((told.status, told.json()), (200, json!({})));
        viewer.mask = Array3::zeros([k, j, i]);
        viewer
    }

    /// A client that has claimed a lease.
    pub(super) fn new(served: &'a Served) -> Self {
        let told = reply(agent().post(served.url("/claim")).send_empty());
        assert_eq!(told.status, 200, "{}", told.text());
        let lease = told.json()["lease_token"].as_str().unwrap().to_owned();
        Self { served, lease, mask: Array3::zeros([0; 3]) }
    }

    /// A client of another server or with another lease.
    pub(super) fn of_lease(served: &'a Served, lease: &str) -> Self {
        Self { served, lease: lease.to_owned(), mask: Array3::zeros([0; 3]) }
    }

    pub(super) fn lease(&self) -> &str {
        &self.lease
    }

    pub(super) fn get(&self, path: &str) -> Reply {
        reply(agent().get(self.served.url(path)).header("x-lease-token", &self.lease).call())
    }

    pub(super) fn post(&self, path: &str, body: &Value) -> Reply {
        let request = agent().post(self.served.url(path)).header("x-lease-token", &self.lease);
        reply(request.header("content-type", "application/json").send(body.to_string()))
    }

    pub(super) fn send(&self, path: &str, meta: Option<&Value>, body: &[u8]) -> Reply {
        let mut request = agent().post(self.served.url(path)).header("x-lease-token", &self.lease);
        if let Some(meta) = meta {
            request = request.header("x-meta", meta.to_string());
        }
        reply(request.header("content-type", "application/octet-stream").send(body))
    }

    /// A click on the voxel `[k, j, i]`, and its answer pasted. Whether there was a prediction.
    pub(super) fn click(&mut self, kji: [usize; 3], is_inside: bool) -> bool {
        let body = json!({ "coordinates": kji, "include_interaction": is_inside });
        let told = self.post("/add_point_interaction", &body);
        self.paste(&told)
    }

    /// Pastes an answer, as the protocol's own client does. Whether there was a prediction.
    pub(super) fn paste(&mut self, told: &Reply) -> bool {
        assert_eq!((told.status, told.kind.as_str()), (200, "application/octet-stream"), "{}", told.text());
        let meta: Value = serde_json::from_str(told.meta.as_ref().unwrap()).unwrap();
        if let Some(bounds) = meta["bbox"].as_array() {
            let bounds: Vec<[usize; 2]> =
                bounds.iter().map(|bounds| serde_json::from_value(bounds.clone()).unwrap()).collect();
            let array = unpack(&told.body, self.mask.len()).unwrap();
            let shape: Vec<usize> = bounds.iter().map(|[low, high]| high - low).collect();
            assert_eq!((array.element(), array.shape()), (ElementType::Uint8, &shape[..]));
            assert_eq!((&meta["dtype"], &meta["shape"]), (&json!("uint8"), &json!(shape)));
            let part =
                Array3::from_shape_vec([shape[0], shape[1], shape[2]], array.bytes().to_vec()).unwrap();
            let [k, j, i] = [0, 1, 2].map(|axis| bounds[axis][0]..bounds[axis][1]);
            self.mask.slice_mut(s![k, j, i]).assign(&part);
        } else {
            assert!(told.body.is_empty());
        }
        meta["ran_prediction"].as_bool().unwrap()
    }
}

/// A recorded body.
pub(super) fn recorded(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/nninteractive").join(name)).unwrap()
}

/// The volume that the server makes of a packed image: i to the left, j to posterior, k to superior.
pub(super) fn volume(body: &[u8], [sk, sj, si]: [f64; 3]) -> Volume {
    let array = unpack(body, 1 << 20).unwrap();
    let &[1, k, j, i] = array.shape() else { panic!("{:?}", array.shape()) };
    let affine = Affine::new([[-si, 0.0, 0.0, 0.0], [0.0, -sj, 0.0, 0.0], [0.0, 0.0, sk, 0.0]]).unwrap();
    let data = Array3::from_shape_vec([k, j, i], array.to_f32().unwrap().0).unwrap();
    let grid = Grid::from_affine([i, j, k], affine).unwrap();
    Volume { data, grid, nan_voxels: 0, value_type: ValueType::Int16, rescale: None }
}

/// The bright balls as a packed image.
pub(super) fn bright_image() -> Vec<u8> {
    let voxels = bright::volume(0);
    let (k, j, i) = voxels.dim();
    let mut body = b"NNIA".to_vec();
    body.extend([1, 1, 4, 5]);
    body.extend(b"int16");
    [1, k, j, i].iter().for_each(|size| body.extend((*size as i64).to_le_bytes()));
    let bytes: Vec<u8> = voxels.iter().flat_map(|value| value.to_le_bytes()).collect();
    body.extend(1u32.to_le_bytes());
    body.extend((bytes.len() as u64).to_le_bytes());
    body.extend((bytes.len() as u64 + 32).to_le_bytes());
    // A stored chunk.
    body.extend([5, 1, 7, 2]);
    for number in [bytes.len(), bytes.len(), bytes.len() + 32] {
        body.extend((number as u32).to_le_bytes());
    }
    body.extend([0; 16]);
    body.extend(bytes);
    body
}

pub(super) const BRIGHT_SPACING: [f64; 3] = [1.5, 1.0, 1.0];
