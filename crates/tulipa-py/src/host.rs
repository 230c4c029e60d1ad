//! What the binding gives the core to keep.

use tulipa_core::Host;

use crate::ffi::object::{Obj, SharedBytes};

/// The Python world, as the core sees it.
pub(crate) struct PyHost;

impl Host for PyHost {
    /// An `asyncio.Handle`.
    type Callback = Obj;
    /// A [`Waiter`](crate::watch::Waiter).
    type Waiter = Obj;
    type Owner = Owner;
    type Chunk = Chunk;
}

/// Who owns a slot.
#[derive(Clone)]
pub(crate) enum Owner {
    /// A transport of `tulipa._transports`.
    Transport(Obj),
    /// A [`Listener`](crate::listener::Listener).
    Listener(Obj),
}

impl Owner {
    pub(crate) fn object(&self) -> &Obj {
        match self {
            Self::Transport(object) | Self::Listener(object) => object,
        }
    }
}

/// Bytes to be written. Dropping them runs none of the program's code, as the core demands: an exact `bytes` has no
/// finaliser, and a copy is ours.
pub(crate) enum Chunk {
    Shared(SharedBytes),
    Copied(Box<[u8]>),
    Made(Vec<u8>),
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Shared(bytes) => bytes.as_ref(),
            Self::Copied(bytes) => bytes,
            Self::Made(bytes) => bytes,
        }
    }
}
