use ndarray::Array3;
use sam3d_geom::PointLabel::{Negative, Positive};
use sam3d_infer::{LogStep, MaskRuns, Prompt, Session};
use sam3d_nnia::unpack;
use serde_json::Value;

use super::viewer::{Viewer, recorded, volume};
use crate::{
    bright,
    support::{Reply, Served, agent, reply, segmenter},
};

/// The token of the test; the recorded one is too short for this server.
const TOKEN: &str = "a-token-of-the-tests";
const RECORDED_LEASE: &str = "0123456789abcdef0123456789abcdef";
const SPACING: [f64; 3] = [0.977, 0.977, 3.27];

/// Sends a recorded request, with the lease of this session.
fn send(served: &Served, exchange: &Value, lease: &str) -> Reply {
    let url = served.url(exchange["path"].as_str().unwrap());
    let headers = exchange["headers"].as_object().unwrap().iter().map(|(name, value)| {
        let value = value.as_str().unwrap();
        let value = value.replace("Bearer secret", &format!("Bearer {TOKEN}")).replace(RECORDED_LEASE, lease);
        (name.clone(), value)
    });
    if exchange["method"] == "GET" {
        return reply(
            headers.fold(agent().get(url), |request, (name, value)| request.header(name, value)).call(),
        );
    }
    let body = match (&exchange["body_file"], &exchange["body"]) {
        (Value::String(file), _) => recorded(file),
        (_, Value::Null) => vec![],
        (_, body) => body.to_string().into_bytes(),
    };
    reply(
        headers.fold(agent().post(url), |request, (name, value)| request.header(name, value)).send(&body[..]),
    )
}

/// The names of an object's fields and the kinds of their values.
fn fields(value: &Value) -> Vec<(String, &'static str)> {
    let kind = |value: &Value| match value {
        Value::Null | Value::Number(_) => "number or null",
        Value::String(_) => "string",
        Value::Bool(_) => "bool",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    };
    value.as_object().unwrap().iter().map(|(name, value)| (name.clone(), kind(value))).collect()
}

/// The session that the recorded prompts make, and the mask that the client should hold after each exchange.
struct Expected {
    session: Session,
    mask: Array3<u8>,
}

impl Expected {
    fn add(&mut self, prompts: Vec<Prompt>) {
        self.session.add_step(LogStep::of(prompts), &mut |_| ()).unwrap();
        self.mask = self.session.mask(0.5).unwrap();
    }
}

/// The whole recorded session: the form of each reply, and after each the client's mask is that of the session of the same
/// prompts.
#[test]
fn the_recorded_session_replays() {
    let mut config = bright::config();
    config.prompt.as_mut().unwrap().enable_dense_prompts();
    let served = Served::of(config.clone(), 1 << 30, |config| {
        config.token = Some(TOKEN.to_owned());
        config.limits.leases = 1;
    });
    let exchanges: Vec<Value> = serde_json::from_slice(&recorded("session.json")).unwrap();
    let lease = send(&served, &exchanges[0], "").json();
    assert_eq!(fields(&lease), fields(&exchanges[0]["reply"]["body"]));
    let lease = lease["lease_token"].as_str().unwrap();
    let full = send(&served, &exchanges[0], "");
    assert_eq!((full.status, full.retry_after.as_deref()), (503, Some("10")));
    assert_eq!(full.detail(), "server is at capacity (1 sessions)");

    let mut viewer = Viewer::of_lease(&served, lease);
    viewer.mask = Array3::zeros([64, 48, 40]);
    let image = recorded("set_image_int16.bin");
    let network = segmenter(&config, 0);
    let mut expected = Expected {
        session: network.session(volume(&image, SPACING)).unwrap(),
        mask: Array3::zeros([64, 48, 40]),
    };
    let begun = unpack(&recorded("initial_seg_uint8.bin"), 1 << 20).unwrap().bytes().to_vec();
    let begun = Array3::from_shape_vec([64, 48, 40], begun).unwrap();
    let mut sizes = Vec::new();
    for (number, exchange) in exchanges.iter().enumerate().skip(1) {
        let path = exchange["path"].as_str().unwrap();
        let told = send(&served, exchange, lease);
        let recorded_reply = &exchange["reply"];
        assert_eq!(told.status, recorded_reply["status"], "{number} {path}: {}", told.text());
        assert_eq!(told.kind, recorded_reply["headers"]["content-type"], "{number} {path}");
        let Some(recorded_meta) = recorded_reply["headers"]["x-meta"].as_str() else {
            let (told, wanted) = (told.json(), &recorded_reply["body"]);
            if path == "/capabilities" {
                // Of no use to a client: the sizes of what the network sees.
                assert!(fields(wanted).iter().all(|field| field.0 == "patch_size"
                    || ["license"].contains(&&*field.0)
                    || fields(&told).contains(field)));
            } else {
                assert_eq!(fields(&told), fields(wanted), "{number} {path}");
            }
            if path == "/set_image" {
                assert_eq!(&told, wanted);
            }
            continue;
        };
        let wanted: Value = serde_json::from_str(recorded_meta).unwrap();
        if path == "/add_initial_seg_interaction" {
            viewer.mask.assign(&begun);
        }
        let ran = viewer.paste(&told);
        assert_eq!(ran, wanted["ran_prediction"], "{number} {path}");
        match number {
            6 => expected.add(vec![Prompt::click([10, 20, 30], Positive)]),
            7 => expected.add(vec![Prompt::click([10, 20, 33], Negative)]),
            8 => {
                expected.session.undo().unwrap();
                expected.mask = expected.session.mask(0.5).unwrap();
            }
            10 => {
                expected.add(vec![Prompt::Box { first: [12, 10, 40], last: [12, 19, 45], label: Positive }])
            }
            11 => {
                let path = vec![[30, 19, 21], [30, 19, 25]];
                expected.add(vec![Prompt::Scribble { path, width: 1.0, label: Positive }]);
            }
            12 => {
                expected.add(vec![Prompt::Box { first: [19, 25, 11], last: [21, 25, 14], label: Negative }])
            }
            13 => {
                expected.session.reset();
                expected.mask.assign(&begun);
            }
            15 => {
                expected.add(vec![Prompt::Mask(MaskRuns::of(begun.view()))]);
                expected.add(vec![Prompt::click([5, 5, 5], Positive)]);
            }
            _ => {}
        }
        assert_eq!(viewer.mask, expected.mask, "{number} {path}");
        sizes.push(viewer.mask.iter().filter(|value| **value != 0).count());
    }
    assert_eq!(exchanges.len(), 20);
    sizes.dedup();
    assert!(sizes.len() > 5, "masks that stay equal would hide a mix-up: {sizes:?}");
    // Released: the lease is gone, and the next client gets one.
    assert_eq!(viewer.get("/lease_status").status, 401);
    assert_eq!(send(&served, &exchanges[17], lease).status, 410);
    assert_eq!(send(&served, &exchanges[0], "").status, 200);
}
