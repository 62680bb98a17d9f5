//! The processes that train one network together, each on a device of its own.
//!
//! Every process holds the whole network and sees other crops. Before each update the gradients of the trained parameters
//! are summed over all processes, in buckets, so that all take the same step. Started by `mpirun` or `srun`; without the
//! feature `distributed` there is one process.

use std::collections::BTreeMap;

use tch::Tensor;

use crate::{TrainError, optimiser::Gradients};

/// The processes that train together.
#[derive(Debug)]
pub struct Communicator(Ranks);

#[derive(Debug)]
enum Ranks {
    Alone,
    #[cfg(feature = "distributed")]
    Mpi(crate::mpi_world::World),
}

impl Communicator {
    /// This process by itself.
    pub fn alone() -> Self {
        Self(Ranks::Alone)
    }

    /// All processes that were started together by an MPI launcher.
    ///
    /// # Errors
    /// [`TrainError::Distributed`] if MPI was started before, or if this build has no MPI.
    pub fn mpi() -> Result<Self, TrainError> {
        #[cfg(feature = "distributed")]
        return crate::mpi_world::World::new().map(|world| Self(Ranks::Mpi(world)));
        #[cfg(not(feature = "distributed"))]
        Err(TrainError::Distributed("this program was built without MPI (its feature `distributed`)"))
    }

    /// Number of this process, from 0.
    pub fn rank(&self) -> usize {
        match &self.0 {
            Ranks::Alone => 0,
            #[cfg(feature = "distributed")]
            Ranks::Mpi(world) => world.rank(),
        }
    }

    /// Number of this process among those of its machine, from 0.
    pub fn local_rank(&self) -> usize {
        match &self.0 {
            Ranks::Alone => 0,
            #[cfg(feature = "distributed")]
            Ranks::Mpi(world) => world.local_rank(),
        }
    }

    /// Number of processes.
    pub fn size(&self) -> usize {
        match &self.0 {
            Ranks::Alone => 1,
            #[cfg(feature = "distributed")]
            Ranks::Mpi(world) => world.size(),
        }
    }

    /// Whether this is the process that writes.
    pub fn is_root(&self) -> bool {
        self.rank() == 0
    }

    /// Adds up `values` over all processes, element by element. Every process must call it, with as many values.
    #[cfg_attr(
        not(feature = "distributed"),
        expect(unused_variables, reason = "one process has nothing to add")
    )]
    pub fn sum(&self, values: &mut [f64]) {
        match &self.0 {
            Ranks::Alone => {}
            #[cfg(feature = "distributed")]
            Ranks::Mpi(world) => world.sum(values),
        }
    }

    /// Whether `condition` holds in any process.
    pub fn any(&self, condition: bool) -> bool {
        let mut count = [f64::from(u8::from(condition))];
        self.sum(&mut count);
        count[0] > 0.0
    }

    /// Waits for all processes.
    pub fn barrier(&self) {
        self.sum(&mut [0.0]);
    }

    /// Sums `gradients` over all processes. A parameter without a gradient in one process counts as zero there, and stays
    /// without one if no process has one.
    pub fn sum_gradients(&self, gradients: &mut Gradients, parameters: &BTreeMap<String, Tensor>) {
        #[cfg(feature = "distributed")]
        if let Ranks::Mpi(world) = &self.0 {
            let mut present: Vec<f64> =
                parameters.keys().map(|name| f64::from(u8::from(gradients.contains_key(name)))).collect();
            self.sum(&mut present);
            let _no_grad = tch::no_grad_guard();
            for ((name, parameter), count) in parameters.iter().zip(present) {
                if count > 0.0 && !gradients.contains_key(name) {
                    gradients.insert(name.clone(), parameter.zeros_like());
                }
            }
            let mut tensors: Vec<&mut Tensor> = gradients.values_mut().collect();
            world.sum_tensors(&mut tensors);
        }
        #[cfg(not(feature = "distributed"))]
        let _one_process = (gradients, parameters);
    }

    /// Gives every process the values that the first one has.
    pub fn broadcast(&self, parameters: &BTreeMap<String, Tensor>) {
        if self.size() == 1 {
            return;
        }
        let _no_grad = tch::no_grad_guard();
        for tensor in parameters.values() {
            let mut copy = tensor.detach().copy();
            if !self.is_root() {
                let _ = copy.zero_();
            }
            // A sum of the first one's values and of zeros is exact.
            self.sum_tensor(&mut copy);
            tensor.shallow_clone().copy_(&copy);
        }
    }

    #[cfg_attr(
        not(feature = "distributed"),
        expect(unused_variables, reason = "one process has nothing to add")
    )]
    fn sum_tensor(&self, tensor: &mut Tensor) {
        match &self.0 {
            Ranks::Alone => {}
            #[cfg(feature = "distributed")]
            Ranks::Mpi(world) => world.sum_tensors(&mut [tensor]),
        }
    }

    /// Ends all processes: the others would wait for this one for ever.
    pub fn abort(&self) {
        match &self.0 {
            Ranks::Alone => {}
            #[cfg(feature = "distributed")]
            Ranks::Mpi(world) => world.abort(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_is_the_first_and_changes_nothing() {
        let alone = Communicator::alone();
        assert_eq!((alone.rank(), alone.local_rank(), alone.size()), (0, 0, 1));
        let mut values = [1.0, 2.0];
        alone.sum(&mut values);
        assert_eq!(values, [1.0, 2.0]);
        assert!(alone.any(true) && !alone.any(false));
    }
}
