//! Which request goes where, and what all of them go through.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::{from_fn_with_state, map_request, map_response},
    response::Response,
    routing::{delete, get, post, put},
};
use tower_http::{
    cors::{AllowOrigin, CorsLayer},
    timeout::RequestBodyTimeoutLayer,
};

use crate::{
    access::{Access, same_origin, with_token},
    api, metrics, monai, nninteractive,
    pace::paced,
    page,
    refusal::Refusal,
    state::Shared,
};

/// Longest silence in the middle of a body.
const BODY_SILENCE: Duration = Duration::from_secs(60);

/// Largest description of several objects, in JSON.
const MOST_OBJECTS_BYTES: usize = 8 << 20;

/// The service of `shared`.
pub(crate) fn router(shared: Shared) -> Router {
    let access = shared.access.clone();
    let first = shared.config.limits.body;
    // The page itself is open: it has no data, and asks for the token.
    let open = Router::new()
        .route("/", get(page::index))
        .route("/page/{*name}", get(page::asset))
        .route("/healthz", get(metrics::healthy))
        .route("/readyz", get(metrics::ready))
        .route("/auth/", get(monai::enabled))
        .route("/auth/token", post(monai::token));
    let closed = api_routes()
        .merge(monai_routes())
        .merge(nninteractive_routes())
        .layer(from_fn_with_state(access.clone(), with_token));
    Router::new()
        .merge(open)
        .merge(closed)
        .fallback(nothing_here)
        .method_not_allowed_fallback(not_this_way)
        .with_state(Arc::clone(&shared))
        .layer(RequestBodyTimeoutLayer::new(BODY_SILENCE))
        .layer(map_request(move |request: Request| async move { paced(request, first) }))
        .layer(cors(&access))
        .layer(from_fn_with_state(access, same_origin))
        .layer(map_response(guarded))
        .layer(from_fn_with_state(shared, metrics::counted))
}

fn api_routes() -> Router<Shared> {
    Router::new()
        .route("/api/state", get(api::state))
        .route("/api/studies", get(api::studies))
        .route("/api/archive", get(api::archive))
        .route("/api/archive/store", post(api::store))
        // Uploads and workspaces count their own bytes.
        .route("/api/uploads", post(api::upload).layer(DefaultBodyLimit::disable()))
        .route("/api/uploads/{id}", delete(api::remove_upload))
        .route("/api/image", get(api::image))
        .route("/api/volume", get(api::volume))
        .route("/api/voxels", get(api::voxels))
        .route("/api/mask", post(api::mask))
        .route("/api/encode-ahead", post(api::encode_ahead))
        .route("/api/segmentation", post(api::segmentation).layer(DefaultBodyLimit::max(MOST_OBJECTS_BYTES)))
        .route(
            "/api/label",
            get(api::of_saved).post(api::save_label).layer(DefaultBodyLimit::max(MOST_OBJECTS_BYTES)),
        )
        .route("/api/label/objects", post(api::of_file).layer(DefaultBodyLimit::disable()))
        .route(
            "/api/workspaces",
            post(api::create_workspace).layer(DefaultBodyLimit::max(MOST_OBJECTS_BYTES)),
        )
        .route(
            "/api/workspaces/{id}",
            get(api::get_workspace).put(api::put_workspace).layer(DefaultBodyLimit::max(MOST_OBJECTS_BYTES)),
        )
}

fn monai_routes() -> Router<Shared> {
    let uploads = Router::new()
        .route("/session/", put(monai::create))
        .route("/session", put(monai::create))
        .route("/infer/{model}", post(monai::infer))
        .route("/datastore/", get(monai::datastore).put(monai::add_image))
        .route("/datastore", get(monai::datastore).put(monai::add_image))
        .route("/datastore/image", get(monai::image).head(monai::check_image).put(monai::add_image))
        .route("/datastore/label", get(monai::label).head(monai::check_label).put(monai::save_label))
        .layer(DefaultBodyLimit::disable());
    Router::new()
        .merge(uploads)
        .route("/info/", get(monai::info))
        .route("/info", get(monai::info))
        .route("/session/{id}", get(monai::get).delete(monai::remove))
        .route("/datastore/image/info", get(monai::image_info))
        .route("/activelearning/{strategy}", post(monai::next_sample))
        .route("/train/", get(monai::not_training))
        .route("/auth/token/valid", get(monai::valid))
}

fn nninteractive_routes() -> Router<Shared> {
    Router::new()
        .route("/set_image", post(nninteractive::set_image))
        .route("/add_scribble_interaction", post(nninteractive::add_scribble))
        .route("/add_lasso_interaction", post(nninteractive::add_lasso))
        .route("/add_initial_seg_interaction", post(nninteractive::add_initial_seg))
        // Arrays are counted while they arrive.
        .layer(DefaultBodyLimit::disable())
        .route("/capabilities", get(nninteractive::capabilities))
        .route("/release", post(nninteractive::release))
        .route("/heartbeat", post(nninteractive::heartbeat))
        .route("/lease_status", get(nninteractive::lease_status))
        .route("/session_log", get(nninteractive::log))
        .route("/set_target_buffer", post(nninteractive::set_target_buffer))
        .route("/set_do_autozoom", post(nninteractive::set_autozoom))
        .route("/reset_interactions", post(nninteractive::reset))
        .route("/add_point_interaction", post(nninteractive::add_point))
        .route("/add_bbox_interaction", post(nninteractive::add_bbox))
        .route("/undo", post(nninteractive::undo))
        .route("/predict", post(nninteractive::predict))
        .layer(map_response(nninteractive::never_busy))
        .route("/claim", post(nninteractive::claim))
        .route("/metrics", get(metrics::metrics))
}

/// What browsers of other origins are told they may do: nothing, unless their origin was allowed.
fn cors(access: &Access) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(access.allowed_origins().iter().cloned()))
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, header::ACCEPT])
        .max_age(Duration::from_secs(600))
}

async fn nothing_here() -> Refusal {
    Refusal::not_found("there is nothing at this address; the page is at /")
}

async fn not_this_way() -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "this address does not take this method")
}

/// Headers that every answer carries.
async fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let mut put = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    put(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    put(header::REFERRER_POLICY, "no-referrer");
    // Patients' images stay out of the browser's cache.
    put(header::CACHE_CONTROL, "no-store");
    response
}
