use std::{io, net::SocketAddr, path::PathBuf};

use sam3d_infer::InferError;
use sam3d_io::IoError;

/// Why the server could not start or had to end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// An address beyond this computer without a token.
    #[error(
        "{address} can be reached from other computers: choose a secret of at least {shortest} characters and \
         give it as --token, or leave --host at 127.0.0.1"
    )]
    TokenMissing {
        /// The address.
        address: SocketAddr,
        /// Fewest characters of a token.
        shortest: usize,
    },
    /// A token that could be guessed or that no header can carry.
    #[error("the token must be {shortest} or more visible ASCII characters without spaces")]
    TokenUnusable {
        /// Fewest characters of a token.
        shortest: usize,
    },
    /// An invalid origin among the allowed ones.
    #[error("{found:?} is not an origin such as http://localhost:3000")]
    OriginInvalid {
        /// What was given.
        found: String,
    },
    /// The port is taken or the address is not this computer's.
    #[error("cannot listen on {address}; is another server running there?")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The directory of studies or labels cannot be used.
    #[error("cannot use the directory {path}", path = path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A network that takes no clicks.
    #[error("the weights are of the prompt-free variant, which takes no clicks")]
    NoPrompts,
    /// The target has no usable name.
    #[error(
        "{found:?} cannot name the target: it must not be empty, nor be one of background, label, foreground"
    )]
    TargetName {
        /// What was given.
        found: String,
    },
    /// A thread or the list of labels failed.
    #[error("cannot {action}")]
    System {
        /// What was attempted.
        action: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The weights cannot be used.
    #[error(transparent)]
    Weights(#[from] InferError),
    /// The thread that owns the network panicked and could not be started again.
    #[error("the network's thread has ended; its log says why")]
    NetworkLost,
    /// The thread that owns the network panicked while it answered.
    #[error("the network's thread panicked")]
    NetworkPanicked,
    /// A file of the labels' directory.
    #[error(transparent)]
    Labels(#[from] IoError),
}
