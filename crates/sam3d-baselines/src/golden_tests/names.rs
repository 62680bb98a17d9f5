//! Names, shapes and counts of parameters at the published sizes.

use std::collections::BTreeMap;

use sam3d_testkit::golden_json;
use tch::Device;

use super::{golden_networks, shapes};
use crate::Baseline;

#[test]
fn names_shapes_and_published_counts() {
    for (name, config) in golden_networks() {
        let golden = golden_json(&format!("baselines/{name}.json"));
        // One at a time: nnFormer's parameters alone are 600 MB.
        let network = Baseline::new(&config, Device::Cpu, 0).unwrap();
        let expected: BTreeMap<String, Vec<i64>> =
            serde_json::from_value(golden["state_dict"].clone()).unwrap();
        assert_eq!(shapes(&network.parameters()), expected, "{name}");
        assert_eq!(network.count_parameters() as u64, golden["parameters"].as_u64().unwrap(), "{name}");

        let mut buffers = network.tensors();
        buffers.retain(|tensor, _| !expected.contains_key(tensor));
        let golden_buffers: BTreeMap<String, Vec<i64>> = golden["buffers"]
            .as_object()
            .unwrap()
            .iter()
            // Computed, and a counter that nothing reads.
            .filter(|(buffer, _)| {
                !buffer.ends_with("relative_position_index") && !buffer.ends_with("num_batches_tracked")
            })
            .map(|(buffer, is)| (buffer.clone(), serde_json::from_value(is["shape"].clone()).unwrap()))
            .collect();
        assert_eq!(shapes(&buffers), golden_buffers, "{name}");
    }
}
