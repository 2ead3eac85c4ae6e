// SPDX-License-Identifier: GPL-2.0

//! What a device has written: is it an answer? (`virtio_fs_verify_response()`)
//!
//! Device and server are not trusted. What is no answer ends the request with `EIO`, and the log says
//! why.

use crate::fuse::{
    abi::header::OutHeader,
    op::Opcode,
    request::{
        outcome::{
            Outcome,
            ServerErrno, //
        },
        Request, //
    },
};
use kernel::prelude::*;

/// Bytes of the header of an answer.
const HEADER: usize = size_of::<OutHeader>();

/// How a request ends of which the device says that it has written `written` bytes, with this header
/// first; and whether its end has to wait for locks of others.
pub(super) fn judge(request: &Request, header: &OutHeader, written: u32) -> (Outcome, bool) {
    // Servers answer DESTROY with nothing.
    if !request.expects_reply() || (written == 0 && request.opcode() == Opcode::Destroy) {
        return (Outcome::Delivered, false);
    }
    match check(request, header, written as usize) {
        Ok((errno, waits)) => (Outcome::answered(errno, header), waits),
        Err(why) => {
            pr_warn!(
                "virtiofs: {} is answered with {why}\n",
                request.opcode().name()
            );
            (Outcome::Io, false)
        }
    }
}

fn check(
    request: &Request,
    header: &OutHeader,
    written: usize,
) -> Result<(ServerErrno, bool), &'static str> {
    let payload = written.checked_sub(HEADER).ok_or("less than a header")?;
    if header.len as usize != written {
        return Err("another length than it says");
    }
    if header.unique != request.unique() {
        return Err("the answer of another");
    }
    let errno = ServerErrno::new(header.error).map_err(|_| "an error that is none")?;
    if errno != ServerErrno::OK {
        return match payload {
            0 => Ok((errno, false)),
            _ => Err("an error and more"),
        };
    }
    let (rest, waits) = request
        .filled(payload)
        .map_err(|_| "a length that it cannot have")?;
    if rest {
        request.zero_rest().map_err(|_| "nothing")?;
    }
    Ok((errno, waits))
}
