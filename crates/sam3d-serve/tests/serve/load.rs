//! Many clients at once: no error, no mixed-up masks.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    bright::{BALLS, THRESHOLD},
    support::{Served, centroid, mask_of_runs},
};

const CLIENTS: usize = 8;
const ROUNDS: usize = 6;

/// Every client clicks its own way through both studies, and every answer is the one that was given when nobody else asked.
#[test]
fn eight_clients_get_each_their_own_masks() {
    let served = Served::with(|config| config.limits.queue = CLIENTS);
    let places: Vec<(&str, [usize; 3])> = (0..CLIENTS)
        .map(|client| (["one", "two"][client % 2], BALLS[client / 2 % 2].map(|index| index + client / 4 * 2)))
        .collect();
    let ask = |(study, ijk): (&str, [usize; 3])| {
        let body = json!({ "clicks": [{ "ijk": ijk }], "threshold": THRESHOLD });
        served.post(&format!("/api/mask?study={study}"), &body).last_line()
    };
    let alone: Vec<_> = places.iter().map(|place| ask(*place)["runs"].clone()).collect();
    let distinct: std::collections::BTreeSet<String> = alone.iter().map(ToString::to_string).collect();
    assert_eq!(distinct.len(), CLIENTS, "clients whose masks are equal would not notice a mix-up");

    let mut times = BTreeMap::new();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (ask, places, alone) = (&ask, &places, &alone);
                scope.spawn(move || {
                    let mut times = Vec::new();
                    for round in 0..ROUNDS {
                        let at = (client + round * 3) % CLIENTS;
                        let start = Instant::now();
                        let line = ask(places[at]);
                        times.push(start.elapsed());
                        assert_eq!(line["runs"], alone[at], "client {client} in round {round}");
                        let found = centroid(&mask_of_runs(&line));
                        let near = found.iter().zip(places[at].1).all(|(a, b)| (a - b as f64).abs() < 4.0);
                        assert!(near, "{found:?} for a click at {:?}", places[at].1);
                    }
                    times
                })
            })
            .collect();
        for (client, thread) in clients.into_iter().enumerate() {
            times.insert(client, thread.join().unwrap());
        }
    });
    let mut all: Vec<Duration> = times.into_values().flatten().collect();
    all.sort_unstable();
    assert_eq!(all.len(), CLIENTS * ROUNDS);
}
