//! Peeking at a socket, which costs no round trip.

use std::io::ErrorKind;
use std::mem::MaybeUninit;

use socket2::Socket;

/// What has come on a connection that nobody has read.
pub(super) enum Peeked {
    Nothing,
    Bytes,
    /// The other side has closed the connection, or it is lost.
    End,
}

/// Peeks at a socket that does not block.
pub(super) fn peek(socket: &Socket) -> Peeked {
    loop {
        match socket.peek(&mut [MaybeUninit::uninit()]) {
            Ok(0) => return Peeked::End,
            Ok(_) => return Peeked::Bytes,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Peeked::Nothing,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return Peeked::End,
        }
    }
}
