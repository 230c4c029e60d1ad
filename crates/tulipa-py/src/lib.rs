//! The native half of the `tulipa` package: what speaks Python, and decides nothing that the core could decide.
//!
//! | file | subject |
//! |---|---|
//! | `event_loop`, `scheduling`, `turn` | the loop class, its calls and timers, and driving a turn |
//! | `future`, `task` | making futures and tasks |
//! | `handle` | `asyncio.Handle` and `asyncio.TimerHandle` |
//! | `transport` | streams and datagrams |
//! | `reader` | what `asyncio.StreamReader` does for each message |
//! | `tls` | TLS over any transport |
//! | `listener` | accepting connections |
//! | `connection` | making connections |
//! | `watch` | `add_reader` and the operations behind `sock_*` |
//! | `sharing` | sockets that a program has under two numbers |
//! | `sockets` | what `sock_recv` and `sock_sendall` do at once |
//! | `child` | starting child processes |
//! | `resolve` | looking names up |
//! | `file` | files that are read and written at an offset |
//! | `offload` | calls on threads, and the way back from there |
//! | `by_number` | tables by descriptor number |
//! | `packed_names` | what the ends of a connection are called, until somebody asks |
//! | `address`, `error`, `system`, `host` | translations |
//! | `ffi` | everything unsafe |

mod address;
mod by_number;
mod child;
mod connection;
mod error;
mod event_loop;
mod ffi;
mod file;
mod future;
mod handle;
mod host;
mod listener;
mod offload;
mod packed_names;
mod reader;
mod resolve;
mod scheduling;
mod sharing;
mod sockets;
mod system;
mod task;
mod tls;
mod transport;
mod turn;
mod watch;

use pyo3::prelude::*;

/// The native half of tulipa. Use `tulipa`.
#[pymodule(gil_used = false)]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    handle::register(module)?;
    transport::register(module)?;
    tls::register(module)?;
    reader::register(module)?;
    module.add_class::<event_loop::LoopCore>()?;
    module.add_class::<listener::Listener>()?;
    module.add_class::<connection::Connection>()?;
    module.add_class::<watch::Waiter>()?;
    module.add_class::<resolve::Question>()?;
    module.add_class::<resolve::Lookup>()?;
    module.add_class::<file::FileCore>()?;
    module.add_class::<file::FileCall>()?;
    module.add_function(wrap_pyfunction!(file::open_file, module)?)?;
    let core = py.get_type::<event_loop::LoopCore>();
    for methods in [
        scheduling::methods(),
        future::methods(),
        task::methods(),
        watch::methods(),
        listener::methods(),
        connection::methods(),
        resolve::methods(),
        sockets::methods(),
        transport::open::methods(),
    ] {
        ffi::raw::install(&core, methods)?;
    }
    module.add_function(wrap_pyfunction!(connection::sockets_are_pythons_own, module)?)?;
    module.add_function(wrap_pyfunction!(address::numeric_family, module)?)?;
    module.add_function(wrap_pyfunction!(address::numeric_address, module)?)?;
    module.add_function(wrap_pyfunction!(system::sendfile, module)?)?;
    module.add_function(wrap_pyfunction!(system::remove_stale_socket, module)?)?;
    module.add_function(wrap_pyfunction!(system::path_identity, module)?)?;
    module.add_function(wrap_pyfunction!(system::unlink_if_identity, module)?)?;
    module.add_function(wrap_pyfunction!(system::pidfd_open, module)?)?;
    module.add_class::<child::ChildStart>()?;
    module.add_function(wrap_pyfunction!(child::start_child, module)?)?;
    module.add_function(wrap_pyfunction!(system::driver_names, module)?)?;
    module.add_function(wrap_pyfunction!(system::probe, module)?)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))
}
