//! Connections to one server that threads take turns with.
//!
//! A thread has a connection to itself until its requests are answered. More than one is opened
//! only where the server promises that all see the same content, and only when all others are
//! taken; a server that has no room for another one is not asked again.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::NbdOptions;
use super::connection::Connection;
use super::fault::Fault;
use super::handshake::{Export, Wanted};
use super::stream::{Address, Stream};

/// How long a server may take to accept another connection: one that is full lets it wait.
const ANOTHER_TIMEOUT: Duration = Duration::from_secs(5);

/// Connections to one export.
#[derive(Debug)]
pub(super) struct Pool {
    address: Address,
    wanted: Wanted,
    timeout: Duration,
    export: Export,
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Debug)]
struct State {
    idle: Vec<Connection<Stream>>,
    /// Idle and taken.
    open: usize,
    /// Most at a time, never 0: 1 unless the server promises that all see the same content.
    limit: usize,
}

impl Pool {
    /// Opens the first connection.
    pub(super) fn open(
        address: Address,
        wanted: Wanted,
        options: &NbdOptions,
    ) -> Result<(Self, Export), Fault> {
        let first = connect(&address, &wanted, options.timeout, options.timeout)?;
        let export = first.export().clone();
        let limit = if export.can_multi_conn {
            options.connections.max(1)
        } else {
            1
        };
        let state = State {
            idle: vec![first],
            open: 1,
            limit,
        };
        let pool = Self {
            address,
            wanted,
            timeout: options.timeout,
            export: export.clone(),
            state: Mutex::new(state),
            freed: Condvar::new(),
        };
        Ok((pool, export))
    }

    /// Lets `work` have a connection. Once, if the connection ended under it, it is done again on a
    /// new one; a server that stalls or lies is not asked twice.
    pub(super) fn with<T>(
        &self,
        work: &mut dyn FnMut(&mut Connection<Stream>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut connection = self.take()?;
        let result = work(&mut connection);
        if !result.as_ref().is_err_and(Fault::is_end_of_connection) {
            return self.settle(connection, result);
        }
        drop(connection);
        self.forget_idle();
        match self.take() {
            Ok(mut connection) => {
                let result = work(&mut connection);
                self.settle(connection, result)
            }
            Err(Fault::Io(_)) => result, // nobody listens there any more
            Err(other) => Err(other),
        }
    }

    /// Keeps a connection for the next thread, or drops it if it is out of step.
    fn settle<T>(
        &self,
        connection: Connection<Stream>,
        result: Result<T, Fault>,
    ) -> Result<T, Fault> {
        match &result {
            Err(fault) if !fault.leaves_connection_usable() => {
                drop(connection);
                self.forget_one();
            }
            _ => self.give_back(connection),
        }
        result
    }

    /// The length of the export as another connection sees it; nothing if there can be none.
    pub(super) fn len_now(&self) -> Option<u64> {
        if self.state.lock().limit < 2 {
            return None;
        }
        let timeout = self.timeout.min(ANOTHER_TIMEOUT);
        let connection = connect(&self.address, &self.wanted, timeout, timeout).ok()?;
        let len = connection.export().len;
        connection.close();
        Some(len)
    }

    fn take(&self) -> Result<Connection<Stream>, Fault> {
        let mut state = self.state.lock();
        loop {
            if let Some(connection) = state.idle.pop() {
                return Ok(connection);
            }
            if state.open < state.limit {
                state.open += 1;
                let is_first = state.open == 1;
                drop(state);
                let opened = self.open_another(is_first);
                if opened.is_ok() {
                    return opened;
                }
                state = self.state.lock();
                state.open -= 1;
                self.freed.notify_one();
                if state.open == 0 {
                    return opened;
                }
                state.limit = state.open;
                continue;
            }
            self.freed.wait(&mut state);
        }
    }

    /// A connection to the export that was opened first, or none: a server that has been started
    /// anew must not slip in another disk.
    fn open_another(&self, is_first: bool) -> Result<Connection<Stream>, Fault> {
        let patience = if is_first {
            self.timeout
        } else {
            self.timeout.min(ANOTHER_TIMEOUT)
        };
        let connection = connect(&self.address, &self.wanted, patience, self.timeout)?;
        if !connection.export().is_like(&self.export) {
            let (was, is) = (self.export.len, connection.export().len);
            let detail = format!("the export had {was} bytes and has {is} on another connection");
            return Err(Fault::Protocol(detail));
        }
        Ok(connection)
    }

    fn give_back(&self, connection: Connection<Stream>) {
        self.state.lock().idle.push(connection);
        self.freed.notify_one();
    }

    fn forget_one(&self) {
        self.state.lock().open -= 1;
        self.freed.notify_one();
    }

    /// After one connection ended, the idle ones are not worth a try.
    fn forget_idle(&self) {
        let mut state = self.state.lock();
        state.open -= 1 + state.idle.len();
        state.idle.clear();
        self.freed.notify_all();
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for connection in self.state.get_mut().idle.drain(..) {
            connection.close();
        }
    }
}

/// Connects and negotiates within `patience`; each request then has `timeout`.
fn connect(
    address: &Address,
    wanted: &Wanted,
    patience: Duration,
    timeout: Duration,
) -> Result<Connection<Stream>, Fault> {
    let stream = Stream::connect(address, patience)?;
    let mut connection = Connection::open(stream, wanted)?;
    connection.peer().set_timeout(timeout);
    Ok(connection)
}
