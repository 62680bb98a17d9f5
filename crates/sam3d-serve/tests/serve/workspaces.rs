//! What a person does on the page comes back after a reload and a restart.

use serde_json::{Value, json};

use crate::support::{Reply, Served, agent, reply};

fn put(served: &Served, id: &str, revision: Option<u64>, content: &Value) -> Reply {
    let request = agent().put(served.url(&format!("/api/workspaces/{id}")));
    let request = request.header("content-type", "application/json");
    let request = match revision {
        Some(revision) => request.header("if-match", format!("\"{revision}\"")),
        None => request,
    };
    reply(request.send(&serde_json::to_vec(content).unwrap()[..]))
}

#[test]
fn work_is_kept_and_outlives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let start = || {
        let sessions = directory.path().to_owned();
        Served::with(move |config| config.sessions = Some(sessions))
    };
    let mut served = start();
    let id = served.post("/api/workspaces", &json!({ "study": "one" })).json()["workspace"].clone();
    let id = id.as_str().unwrap();
    let kept = json!({ "study": "one", "objects": [{ "name": "tumour" }] });
    assert_eq!(put(&served, id, Some(1), &kept).status, 200);
    let stale = put(&served, id, Some(1), &json!({}));
    assert!(stale.status == 412 && stale.detail().contains("another window"), "{}", stale.text());
    assert_eq!(put(&served, id, None, &kept).status, 428);
    assert_eq!(served.get(&format!("/api/workspaces/{id}")).json(), kept);
    let large = json!({ "text": "x".repeat(5 << 20) });
    assert_eq!(put(&served, id, Some(2), &large).status, 413);
    for other in ["00", "..%2F..%2Fetc%2Fpasswd"] {
        assert_eq!(served.get(&format!("/api/workspaces/{other}")).status, 404, "{other}");
    }
    served.stop();
    let again = start();
    assert_eq!(again.get(&format!("/api/workspaces/{id}")).json(), kept);
    assert_eq!(put(&again, id, Some(2), &json!({ "study": "two" })).status, 200);
}
