//! MPI's processes.

use std::fmt;

use mpi::{
    Threading,
    collective::SystemOperation,
    environment::Universe,
    topology::SimpleCommunicator,
    traits::{Communicator as _, CommunicatorCollectives as _, Equivalence},
};

use tch::Tensor;

use crate::{TrainError, buckets::in_buckets};

/// Values that are summed at a time: 32 MiB. Small enough to be copied beside the network, large enough to hide
/// latency.
const BUCKET: usize = 8 << 20;

/// All processes that were started together.
pub(crate) struct World {
    // Leaves MPI when it is dropped, and must be dropped after the communicators.
    world: SimpleCommunicator,
    local_rank: usize,
    _universe: Universe,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} of {}", self.rank(), self.size())
    }
}

impl World {
    /// Joins the others.
    ///
    /// # Errors
    /// [`TrainError::Distributed`] if MPI was started before in this process.
    pub(crate) fn new() -> Result<Self, TrainError> {
        // One thread speaks to MPI; others draw crops meanwhile.
        let started = mpi::initialize_with_threading(Threading::Funneled);
        let (universe, threading) =
            started.ok_or(TrainError::Distributed("MPI was started before in this process"))?;
        if threading < Threading::Funneled {
            return Err(TrainError::Distributed("this MPI library cannot be used beside threads"));
        }
        let world = universe.world();
        let local_rank = world.split_shared(world.rank()).rank() as usize;
        Ok(Self { world, local_rank, _universe: universe })
    }

    pub(crate) fn rank(&self) -> usize {
        self.world.rank() as usize
    }

    pub(crate) fn size(&self) -> usize {
        self.world.size() as usize
    }

    pub(crate) fn local_rank(&self) -> usize {
        self.local_rank
    }

    pub(crate) fn sum<T: Equivalence + Copy>(&self, values: &mut [T]) {
        let own = values.to_vec();
        self.world.all_reduce_into(&own[..], values, SystemOperation::sum());
    }

    pub(crate) fn sum_tensors(&self, tensors: &mut [&mut Tensor]) {
        in_buckets(tensors, BUCKET, &mut |values| self.sum(values));
    }

    pub(crate) fn abort(&self) {
        self.world.abort(1);
    }
}
