//! nnInteractive's protocol: recorded traffic, leases, and what goes wrong.

mod leases;
mod recorded;
mod slow;
mod viewer;
mod weights;
