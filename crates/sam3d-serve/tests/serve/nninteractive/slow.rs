use std::{io::Read, sync::mpsc, thread, time::Duration};

use sam3d_geom::PointLabel;
use sam3d_infer::Prompt;
use serde_json::{Value, json};

use super::viewer::{BRIGHT_SPACING, Viewer, bright_image, volume};
use crate::{
    bright::{self, BALLS},
    support::{Reply, Served, agent, held_back, segmenter},
};

/// While a prediction runs its client gets heartbeats answered and the first bytes of the answer, which covers the whole volume;
/// a second client waits behind a full queue, and neither is told that the server is busy.
#[test]
fn a_long_prediction_does_not_fail() {
    let (open, gate) = mpsc::channel();
    let served = Served::opening(held_back(gate), |config| {
        config.limits.slow_answer = Duration::from_millis(20);
        config.limits.queue = 1;
    });
    let image = bright_image();
    let mut first = Viewer::with_image(&served, &image, BRIGHT_SPACING);
    let [i, j, k] = BALLS[0];
    let point = json!({ "coordinates": [k, j, i], "include_interaction": true }).to_string();
    let ask = |lease: &str| {
        let request = agent().post(served.url("/add_point_interaction")).header("x-lease-token", lease);
        request.header("content-type", "application/json").send(&point).unwrap()
    };
    // The panic: refused at once, or after the first bytes were sent.
    let broken = ask(first.lease());
    let is_refused = broken.status() == 500 || broken.into_body().read_to_vec().is_err();
    assert!(is_refused, "the network was to be held back");

    let mut second = Viewer::with_image(&served, &image, BRIGHT_SPACING);
    let (seen, begun) = mpsc::channel();
    let read = |lease: String, seen: mpsc::Sender<()>| {
        let mut answer = ask(&lease);
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        let (kind, meta, status) = (header("content-type"), header("x-meta"), answer.status().as_u16());
        let mut body = vec![0; 3];
        let mut reader = answer.body_mut().as_reader();
        reader.read_exact(&mut body).unwrap();
        seen.send(()).unwrap();
        reader.read_to_end(&mut body).unwrap();
        Reply { status, kind, retry_after: None, meta: Some(meta), body }
    };
    let read = &read;
    let answers = thread::scope(|scope| {
        let waiting = [&first, &second].map(|viewer| {
            let (lease, seen) = (viewer.lease().to_owned(), seen.clone());
            scope.spawn(move || read(lease, seen))
        });
        // Both have read the first bytes of their answers, and the queue is full.
        (0..2).for_each(|_| begun.recv_timeout(Duration::from_secs(60)).unwrap());
        for viewer in [&first, &second] {
            assert_eq!(viewer.post("/heartbeat", &json!({})).status, 200);
            assert_eq!(viewer.get("/lease_status").json()["remaining_seconds"], 600.0);
        }
        let refused =
            served.post("/api/mask?study=one", &json!({ "clicks": [{ "ijk": BALLS[0] }], "threshold": 0.5 }));
        assert_eq!(refused.status, 503, "{}", refused.text());
        open.send(()).unwrap();
        waiting.map(|answer| answer.join().unwrap())
    });
    let network = segmenter(&bright::config(), 0);
    let mut session = network.session(volume(&image, BRIGHT_SPACING)).unwrap();
    session.add(Prompt::click(BALLS[0], PointLabel::Positive)).unwrap();
    let mask = session.mask(0.5).unwrap();
    for (viewer, answer) in [&mut first, &mut second].into_iter().zip(&answers) {
        let meta: Value = serde_json::from_str(answer.meta.as_ref().unwrap()).unwrap();
        assert_eq!(meta["bbox"], json!([[0, 30], [0, 56], [0, 64]]));
        assert!(viewer.paste(answer));
        assert_eq!(viewer.mask, mask);
        // The server knows what the client holds.
        let undone = viewer.post("/undo", &json!({}));
        assert!(viewer.paste(&undone));
        assert_eq!(viewer.mask.sum(), 0);
    }
    assert!(mask.iter().any(|value| *value != 0));
}
