//! sam3d
fn main() {}
