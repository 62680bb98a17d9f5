//! What the crates need to be published, and that all builds have one set of features.

#![expect(clippy::unwrap_used, reason = "a test that cannot read the workspace cannot go on")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use cargo_metadata::{DependencyKind, MetadataCommand, Package};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// The crates that are to be published.
fn published() -> Vec<Package> {
    let metadata = MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .other_options(vec!["--locked".to_owned()])
        .exec()
        .unwrap();
    let is_published =
        |package: &Package| package.publish.as_ref().is_none_or(|registries| !registries.is_empty());
    let packages: Vec<Package> = metadata.packages.into_iter().filter(is_published).collect();
    assert!(packages.len() >= 13, "{} crates", packages.len());
    packages
}

#[test]
fn packages_say_what_a_registry_asks_for() {
    for package in published() {
        let name = &package.name;
        let directory = package.manifest_path.parent().unwrap();
        assert!(package.description.is_some() && package.license.is_some(), "{name}");
        assert!(!package.keywords.is_empty() && package.keywords.len() <= 5, "{name}: keywords");
        assert!(!package.categories.is_empty(), "{name}: categories");
        for file in ["README.md", "LICENSE-MIT", "LICENSE-APACHE"] {
            assert!(
                fs::read_to_string(directory.join(file)).is_ok_and(|text| text.len() > 300),
                "{name}: {file}"
            );
        }
        for dependency in &package.dependencies {
            // Without a version a dependency for tests alone is left out of the package.
            let counts = dependency.path.is_some() && dependency.kind != DependencyKind::Development;
            assert!(
                !counts || dependency.req.to_string() != "*",
                "{name}: {} without a version",
                dependency.name
            );
        }
    }
}

/// Files that are compiled in and the build script lie in the package.
#[test]
fn packages_include_nothing_from_outside() {
    let mut outside = Vec::new();
    let mut seen = 0;
    for package in published() {
        let directory = package.manifest_path.parent().unwrap().as_std_path();
        for target in &package.targets {
            assert!(
                target.src_path.starts_with(package.manifest_path.parent().unwrap()),
                "{}",
                target.src_path
            );
        }
        for file in sources(&directory.join("src")) {
            let text = fs::read_to_string(&file).unwrap();
            // Put together here, so that this file does not trip over itself.
            for call in ["include_str", "include_bytes", "include"].map(|name| format!("{name}!(\"")) {
                for rest in text.split(call.as_str()).skip(1) {
                    let name = rest.split('"').next().unwrap();
                    let included = file.parent().unwrap().join(name);
                    seen += 1;
                    let inside = included.canonicalize().is_ok_and(|path| path.starts_with(directory));
                    // Licences and the published scores are links, which are followed when the crate is packed.
                    if !inside && !lexically(&included).starts_with(directory) {
                        outside.push(format!("{}: {name}", file.display()));
                    }
                }
            }
        }
    }
    assert!(seen > 10, "the files that are included were not found");
    assert!(outside.is_empty(), "{outside:#?}");
}

/// A path without its `..`, links not followed.
fn lexically(path: &Path) -> PathBuf {
    let mut found = PathBuf::new();
    for part in path.components() {
        if part == std::path::Component::ParentDir {
            found.pop();
        } else {
            found.push(part);
        }
    }
    found
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// `cargo build -p sam3d-cli`, which the demo runs, and `cargo test --workspace` compile every dependency with the same
/// features: neither compiles them anew after the other.
#[test]
fn demo_and_tests_share_their_dependencies() {
    let demo = features(&["--package", "sam3d-cli", "--edges", "normal,build"]);
    let tests = features(&["--workspace", "--edges", "normal,build,dev"]);
    let differ: Vec<String> = demo
        .iter()
        .filter(|(package, features)| tests.get(*package) != Some(features))
        .map(|(package, features)| format!("{package}: {features:?} and {:?}", tests.get(package)))
        .collect();
    assert!(
        demo.len() > 100 && differ.is_empty(),
        "name these features in the workspace's Cargo.toml: {differ:#?}"
    );
}

/// The features of every package in a selection.
fn features(selection: &[&str]) -> BTreeMap<String, BTreeSet<String>> {
    let mut tree = Command::new(env!("CARGO"));
    tree.current_dir(root())
        .args(["tree", "--locked", "--prefix", "none", "--format", "{p}\t{f}"])
        .args(selection);
    let output = tree.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let Some((package, features)) = line.trim_end_matches(" (*)").split_once('\t') else { continue };
        found.entry(package.to_owned()).or_default().insert(features.to_owned());
    }
    found
}
