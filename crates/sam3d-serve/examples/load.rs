//! Many clients clicking at once for a while: prints latencies and memory, and fails if a mask is not the one that the
//! same click gave when nobody else asked.
//!
//! ```sh
//! cargo run --release -p sam3d-serve --example load -- WEIGHTS STUDIES [SECONDS] [CLIENTS] [CACHE_MIB]
//! ```
//!
//! WEIGHTS is a checkpoint with its preprocessing, STUDIES a directory of volumes. Clicks are spread over each volume; a
//! small cache makes more of them run the encoder.

#![expect(clippy::print_stdout, reason = "a measurement reports to the terminal")]

use std::{
    env,
    error::Error,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use sam3d_infer::{Segmenter, SegmenterOptions};
use sam3d_serve::{Config, Limits, Server};
use serde_json::{Value, json};
use tokio::sync::Notify;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Clicks on each study.
const PLACES: usize = 6;

/// A click and the answer it had alone.
struct Place {
    study: String,
    ijk: [u64; 3],
    alone: Value,
}

/// What one client saw.
#[derive(Default)]
struct Seen {
    encoded: Vec<Duration>,
    at_hand: Vec<Duration>,
    refused: usize,
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [weights, studies] = [0, 1].map(|at| arguments.get(at).cloned());
    let (Some(weights), Some(studies)) = (weights, studies) else {
        return Err("usage: load WEIGHTS STUDIES [SECONDS] [CLIENTS] [CACHE_MIB]".into());
    };
    let number = |at: usize, default: usize| arguments.get(at).map_or(Ok(default), |text| text.parse());
    let (seconds, clients, cache) = (number(2, 120)?, number(3, 8)?, number(4, 256)?);
    let (address, stop, server) = start(&weights, &studies, clients, cache)?;

    let places = places(&address)?;
    println!("{} places, {clients} clients, {seconds} s, {cache} MiB for embeddings", places.len());
    let before = resident_mib();
    let over = AtomicBool::new(false);
    let seen = thread::scope(|scope| {
        let running: Vec<_> = (0..clients)
            .map(|client| {
                scope.spawn({
                    let (address, places, over) = (&address, &places, &over);
                    move || click(address, places, client, over)
                })
            })
            .collect();
        thread::sleep(Duration::from_secs(seconds as u64));
        let half_way = resident_mib();
        over.store(true, Ordering::Relaxed);
        println!("memory: {before} MiB before, {half_way} MiB at the end, at most {} MiB", peak_mib());
        running
            .into_iter()
            .map(|thread| thread.join().map_err(|_| "a client broke off")?)
            .collect::<Outcome<Vec<Seen>>>()
    })?;
    stop.notify_one();
    server.join().map_err(|_| "the server broke off")??;

    let all = |times: fn(&Seen) -> &Vec<Duration>| -> Vec<Duration> {
        seen.iter().flat_map(times).copied().collect()
    };
    report("with the encoder", all(|seen| &seen.encoded));
    report("embedding at hand", all(|seen| &seen.at_hand));
    println!("told to wait: {}", seen.iter().map(|seen| seen.refused).sum::<usize>());
    println!("no error, no mask of another click");
    Ok(())
}

type Running = (String, Arc<Notify>, thread::JoinHandle<Outcome<()>>);

fn start(weights: &str, studies: &str, clients: usize, cache_mib: usize) -> Outcome<Running> {
    let options = SegmenterOptions {
        device: tch::Device::cuda_if_available(),
        embedding_bytes: cache_mib << 20,
        ..SegmenterOptions::default()
    };
    let weights = PathBuf::from(weights);
    let config = Config {
        host: [127, 0, 0, 1].into(),
        port: 0,
        token: None,
        allowed_origins: Vec::new(),
        studies: Some(studies.into()),
        labels: None,
        sessions: None,
        archive: None,
        algorithm: "bright.safetensors".to_owned(),
        encode_ahead: true,
        target: "target".to_owned(),
        limits: Limits { queue: clients, ..Limits::default() },
    };
    let server = Server::bind(config, move || Segmenter::open(&weights, &options))?;
    let address = format!("http://{}", server.address());
    let stop = Arc::new(Notify::new());
    let stopped = Arc::clone(&stop);
    let thread = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        Ok(runtime.block_on(server.run(async move { stopped.notified().await }))?)
    });
    Ok((address, stop, thread))
}

/// Places spread along the diagonal of every study, with the answers they get alone.
fn places(address: &str) -> Outcome<Vec<Place>> {
    let studies: Vec<Value> = serde_json::from_value(get(&format!("{address}/api/studies"))?)?;
    let mut places = Vec::new();
    for study in studies {
        let study = study["id"].as_str().ok_or("a study without id")?.to_owned();
        let image = get(&format!("{address}/api/image?study={study}"))?;
        for place in 0..PLACES as u64 {
            let mut ijk = [0; 3];
            for (axis, index) in ijk.iter_mut().enumerate() {
                let size = image["shape_ijk"][axis].as_u64().ok_or("an image without shape")?;
                *index = size * (2 * place + 1) / (2 * PLACES as u64);
            }
            let alone = ask(address, &study, ijk)?.ok_or("refused without load")?["runs"].clone();
            places.push(Place { study: study.clone(), ijk, alone });
        }
    }
    Ok(places)
}

fn get(url: &str) -> Outcome<Value> {
    Ok(serde_json::from_str(&ureq::get(url).call()?.body_mut().read_to_string()?)?)
}

fn click(address: &str, places: &[Place], client: usize, over: &AtomicBool) -> Outcome<Seen> {
    let mut seen = Seen::default();
    let mut round = client;
    while !over.load(Ordering::Relaxed) {
        // Every client goes its own way: steps of different lengths through the places.
        round += 2 * client + 1;
        let place = &places[round % places.len()];
        let start = Instant::now();
        let Some(line) = ask(address, &place.study, place.ijk)? else {
            seen.refused += 1;
            thread::sleep(Duration::from_millis(100));
            continue;
        };
        let times = if line["encoding_seconds"].is_null() { &mut seen.at_hand } else { &mut seen.encoded };
        times.push(start.elapsed());
        if line["runs"] != place.alone {
            return Err(format!("client {client}: another mask at {:?} of {}", place.ijk, place.study).into());
        }
    }
    Ok(seen)
}

/// The last line of an answer; `None` if the server is busy.
fn ask(address: &str, study: &str, ijk: [u64; 3]) -> Outcome<Option<Value>> {
    let url = format!("{address}/api/mask?study={study}");
    let body = json!({ "clicks": [{ "ijk": ijk }], "threshold": 0.5 });
    let text = match ureq::post(url).header("content-type", "application/json").send(body.to_string()) {
        Ok(mut reply) => reply.body_mut().with_config().limit(1 << 30).read_to_string()?,
        Err(ureq::Error::StatusCode(503)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let line: Value = serde_json::from_str(text.lines().last().unwrap_or_default())?;
    if line["stage"] == "done" { Ok(Some(line)) } else { Err(text.into()) }
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let quantile = |share: f64| {
        let at = (share * times.len() as f64) as usize;
        times.get(at.min(times.len().saturating_sub(1))).map_or(0.0, Duration::as_secs_f64)
    };
    println!("{what}: {} answers, p50 {:.3} s, p95 {:.3} s", times.len(), quantile(0.5), quantile(0.95));
}

fn resident_mib() -> u64 {
    status_mib("VmRSS:")
}

fn peak_mib() -> u64 {
    status_mib("VmHWM:")
}

/// A field of what Linux says of this process; 0 elsewhere.
fn status_mib(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok())
        .map_or(0, |kib| kib / 1024)
}
