//! The page, built into the program: nothing is fetched from elsewhere.

use axum::{
    extract::Path,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};

use crate::refusal::Refusal;

/// What the page may load and do: only what this server sends. NiiVue's letters are a picture in its own source.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

macro_rules! files {
    ($($name:literal: $kind:literal),* $(,)?) => {
        /// Name, type and content of every file of the page.
        const FILES: &[(&str, &str, &[u8])] = &[
            $(($name, $kind, include_bytes!(concat!("../page/", $name)))),*
        ];
    };
}

files! {
    "index.html": "text/html; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
    "main.js": "text/javascript; charset=utf-8",
    "ahead.js": "text/javascript; charset=utf-8",
    "answers.js": "text/javascript; charset=utf-8",
    "folder.js": "text/javascript; charset=utf-8",
    "geometry.js": "text/javascript; charset=utf-8",
    "history.js": "text/javascript; charset=utf-8",
    "keys.js": "text/javascript; charset=utf-8",
    "marks.js": "text/javascript; charset=utf-8",
    "object_list.js": "text/javascript; charset=utf-8",
    "panel.js": "text/javascript; charset=utf-8",
    "plane_view.js": "text/javascript; charset=utf-8",
    "progress.js": "text/javascript; charset=utf-8",
    "render.js": "text/javascript; charset=utf-8",
    "runs.js": "text/javascript; charset=utf-8",
    "saving.js": "text/javascript; charset=utf-8",
    "server.js": "text/javascript; charset=utf-8",
    "strokes.js": "text/javascript; charset=utf-8",
    "view_controls.js": "text/javascript; charset=utf-8",
    "viewer.js": "text/javascript; charset=utf-8",
    "voxels.js": "text/javascript; charset=utf-8",
    "workspace.js": "text/javascript; charset=utf-8",
    "vendor/niivue.js": "text/javascript; charset=utf-8",
    "vendor/LICENSES.txt": "text/plain; charset=utf-8",
}

/// `GET /`
pub(crate) async fn index() -> Result<Response, Refusal> {
    file("index.html")
}

/// `GET /page/{name}`
pub(crate) async fn asset(Path(name): Path<String>) -> Result<Response, Refusal> {
    file(&name)
}

fn file(name: &str) -> Result<Response, Refusal> {
    let found = FILES.iter().find(|(known, _, _)| *known == name);
    let (_, kind, content) = found.ok_or_else(|| Refusal::not_found("there is no such page"))?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        // Another version of the program may answer next time.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    Ok((headers, *content).into_response())
}
