//! The directions in which the workspace's crates may depend on each other and on libtorch.

#![expect(clippy::expect_used, reason = "a test that cannot read the workspace cannot go on")]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use cargo_metadata::{CargoOpt, Metadata, MetadataCommand};

const GEOM: &str = "sam3d-geom";
const IO: &str = "sam3d-io";
const DATA: &str = "sam3d-data";
const METRICS: &str = "sam3d-metrics";
const PICKLE: &str = "sam3d-pickle";
const NNIA: &str = "sam3d-nnia";
const DICOMWEB: &str = "sam3d-dicomweb";
const MODEL: &str = "sam3d-model";
const BASELINES: &str = "sam3d-baselines";
const INFER: &str = "sam3d-infer";
const EVAL: &str = "sam3d-eval";
const TRAIN: &str = "sam3d-train";
const SERVE: &str = "sam3d-serve";
const COMMANDS: &str = "sam3d-commands";
const CLI: &str = "sam3d-cli";
const TESTKIT: &str = "sam3d-testkit";
const XTASK: &str = "xtask";
const START: &str = "xtask-start";

/// For each package, the names of all it needs to be built and tested, directly or not.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata: Metadata = MetadataCommand::new()
        .manifest_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml"))
        .features(CargoOpt::AllFeatures)
        .other_options(vec!["--locked".to_owned()])
        .exec()
        .expect("cargo metadata reads the workspace");
    let resolve = metadata.resolve.as_ref().expect("the dependency graph");
    let direct: BTreeMap<_, _> = resolve.nodes.iter().map(|node| (&node.id, &node.dependencies)).collect();
    let names: BTreeMap<_, _> =
        metadata.packages.iter().map(|package| (&package.id, package.name.to_string())).collect();

    let reachable = |start| {
        let mut seen = BTreeSet::new();
        let mut waiting = vec![start];
        while let Some(id) = waiting.pop() {
            for next in direct[id] {
                if seen.insert(next) {
                    waiting.push(next);
                }
            }
        }
        seen.into_iter().map(|id| names[id].clone()).collect()
    };
    metadata.workspace_members.iter().map(|id| (names[id].clone(), reachable(id))).collect()
}

#[test]
fn crates_depend_only_downwards() {
    let dependencies = dependencies();
    let torch = ["tch", "torch-sys"];
    // From the bottom up; what a crate may not need are those above it, and beside it where the list says so.
    let never: [(&str, &[&str]); 16] = [
        (GEOM, &[IO, METRICS, PICKLE, DATA, MODEL, BASELINES, INFER, EVAL, TRAIN, SERVE, CLI, XTASK]),
        (IO, &[METRICS, PICKLE, DATA, MODEL, BASELINES, INFER, EVAL, TRAIN, SERVE, CLI, XTASK]),
        (METRICS, &[IO, PICKLE, DATA, MODEL, BASELINES, INFER, EVAL, TRAIN, SERVE, CLI, XTASK]),
        (PICKLE, &[GEOM, IO, METRICS, DATA, MODEL, BASELINES, INFER, EVAL, TRAIN, SERVE, CLI, XTASK]),
        (NNIA, &[GEOM, IO, METRICS, PICKLE, DATA, MODEL, BASELINES, INFER, EVAL, TRAIN, SERVE, CLI, XTASK]),
        (
            DICOMWEB,
            &[GEOM, IO, METRICS, PICKLE, NNIA, DATA, MODEL, BASELINES, INFER, EVAL, TRAIN, SERVE, CLI, XTASK],
        ),
        (
            TESTKIT,
            &[GEOM, IO, METRICS, PICKLE, DATA, MODEL, BASELINES, INFER, EVAL, TRAIN, SERVE, CLI, XTASK],
        ),
        (COMMANDS, &[MODEL, BASELINES, INFER, EVAL, TRAIN, SERVE, CLI, XTASK]),
        (DATA, &[COMMANDS, MODEL, BASELINES, INFER, EVAL, TRAIN, SERVE, CLI, XTASK]),
        (MODEL, &[IO, METRICS, DATA, BASELINES, INFER, EVAL, TRAIN, SERVE, CLI, XTASK]),
        (BASELINES, &[IO, METRICS, DATA, INFER, EVAL, TRAIN, SERVE, CLI, XTASK]),
        (INFER, &[DATA, COMMANDS, BASELINES, EVAL, TRAIN, SERVE, CLI, XTASK]),
        (EVAL, &[COMMANDS, TRAIN, SERVE, CLI, XTASK]),
        (TRAIN, &[COMMANDS, INFER, EVAL, SERVE, CLI, XTASK]),
        (SERVE, &[DATA, COMMANDS, BASELINES, EVAL, TRAIN, CLI, XTASK]),
        (XTASK, &[MODEL, BASELINES, INFER, EVAL, TRAIN, SERVE, CLI]),
    ];
    let without_torch = [GEOM, IO, DATA, METRICS, PICKLE, NNIA, DICOMWEB, COMMANDS, TESTKIT, XTASK];

    let rules = never
        .iter()
        .map(|(package, others)| (*package, *others))
        .chain(without_torch.iter().map(|package| (*package, &torch[..])));
    let broken: Vec<String> = rules
        .flat_map(|(package, others)| others.iter().map(move |other| (package, *other)))
        .filter(|(package, other)| dependencies[*package].contains(*other))
        .map(|(package, other)| format!("{package} depends on {other}"))
        .collect();
    assert!(broken.is_empty(), "{broken:#?}");

    assert!(dependencies[START].is_empty(), "{START} is there before anything is compiled");
    // The rules would also hold if the names in them were wrong.
    let mut named: Vec<&str> = dependencies.keys().map(String::as_str).collect();
    named.sort_unstable();
    let mut known = [
        GEOM, IO, DATA, METRICS, PICKLE, NNIA, DICOMWEB, MODEL, BASELINES, INFER, EVAL, TRAIN, SERVE,
        COMMANDS, CLI, TESTKIT, XTASK, START,
    ];
    known.sort_unstable();
    assert_eq!(named, known, "a new crate needs its rule here");
    for name in torch {
        assert!(dependencies[MODEL].contains(name), "{name} is no longer the name of libtorch's wrapper");
    }
}
