//! Parameter-efficient training of 3DSAM-adapter: what is SAM's stays frozen, the rest learns.

pub mod loss;
pub mod optimiser;
pub mod schedule;
pub mod step;
