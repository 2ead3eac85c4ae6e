// SPDX-License-Identifier: GPL-2.0

//! Copying between a request and a server's buffer, loan by loan.
//!
//! A loan copies the present part of the buffer, and says why it ended. After a short loan the
//! request is shown to an abort, and the buffer is faulted in, which may sleep, forever if the
//! buffer is a file of this very mount. A buffer that is present is never faulted in. The next loan
//! continues, unless the request has ended meanwhile.
//!
//! A server that splices may give pages away: these become part of the page cache without a copy.

use crate::fuse::{
    request::{
        args::{
            LoanEnd,
            Progress, //
        },
        Request, //
    },
    trace::{
        self,
        Direction, //
    },
};
use crate::vfs::mm::iov::{
    Dest,
    Room,
    Source, //
};
use kernel::prelude::*;

/// Bytes that are faulted in at once.
const FAULT_IN: usize = 64 * 1024;

/// A request that is lent to a copier.
pub(crate) trait Lent {
    /// The request.
    fn request(&self) -> &Request;

    /// The copier is about to fault or sleep: from now on an abort can end the request.
    ///
    /// # Errors
    ///
    /// `ENOENT` if the connection has ended.
    fn show(&mut self) -> Result;
}

/// A request that an abort can end at any time.
#[cfg(CONFIG_KUNIT = "y")]
impl Lent for &Request {
    fn request(&self) -> &Request {
        self
    }

    fn show(&mut self) -> Result {
        Ok(())
    }
}

/// Copies the whole message of a request to the reader.
///
/// # Errors
///
/// `ENOENT` if the request, or the connection, ended; `EFAULT`; `EIO` if the request has fewer
/// bytes than its header says.
#[inline]
pub(crate) fn copy_request(mut lent: impl Lent, to: &mut impl Dest) -> Result {
    let len = lent.request().len();
    copy_front(&mut lent, to, len)
}

/// Copies the first `len` bytes of the message of a request to the reader, which has room for no more.
///
/// # Errors
///
/// As [`copy_request`].
#[inline]
pub(crate) fn copy_front(lent: &mut impl Lent, to: &mut impl Dest, len: usize) -> Result {
    let mut progress = Progress::default();
    let copied = copy_out(lent, to, &mut progress, len);
    trace::request_copy(lent.request(), Direction::Out, progress.done(), &copied);
    copied
}

fn copy_out(
    lent: &mut impl Lent,
    to: &mut impl Dest,
    progress: &mut Progress,
    len: usize,
) -> Result {
    loop {
        let request = lent.request();
        let end = request.lend_input(progress, |bytes| to.copy_nofault(bytes))?;
        let left = len.saturating_sub(progress.done());
        match end {
            _ if left == 0 => return Ok(()),
            LoanEnd::Full => {}
            LoanEnd::Short => {
                lent.show()?;
                to.fault_in(left.min(FAULT_IN))?;
            }
            LoanEnd::Complete => return Err(EIO),
        }
    }
}

/// Copies the payload of a reply into the space that a request has for it.
///
/// # Errors
///
/// `EINVAL` if the operation does not allow that length; `ENOENT` if the request, or the
/// connection, ended; `EFAULT`; `EIO` if the request has less room than the operation allows.
#[inline]
pub(crate) fn copy_reply(lent: &mut impl Lent, from: &mut impl Source) -> Result {
    let mut progress = Progress::default();
    let copied = copy_in(lent, from, &mut progress);
    trace::request_copy(lent.request(), Direction::In, progress.done(), &copied);
    copied
}

fn copy_in(lent: &mut impl Lent, from: &mut impl Source, progress: &mut Progress) -> Result {
    let payload = from.len();
    // Usually the whole payload is present and one loan suffices.
    let at_hand = !from.has_page();
    let source = at_hand.then_some(|bytes: Room<'_>| from.copy_nofault(bytes));
    let (mut end, leaves_rest) = lent.request().begin_output(payload, progress, source)?;
    loop {
        let left = payload.saturating_sub(progress.done());
        match end {
            _ if left == 0 && leaves_rest => return lent.request().zero_rest(),
            _ if left == 0 => return Ok(()),
            LoanEnd::Full => {}
            LoanEnd::Short => {
                lent.show()?;
                from.fault_in(left.min(FAULT_IN))?;
            }
            LoanEnd::Complete => return Err(EIO),
        }
        // A page is taken outside of the loans, because that sleeps.
        while from.has_page() && lent.request().takes_page(progress)? {
            lent.show()?;
            match from.take_page()? {
                Some(page) => lent.request().lend_page(progress, page)?,
                None => break,
            }
        }
        end = lent
            .request()
            .lend_output(progress, |bytes| from.copy_nofault(bytes))?;
    }
}

/// Copies bytes that belong to no request (INTERRUPT, FORGET) to the reader.
///
/// # Errors
///
/// `EFAULT`.
#[inline]
pub(crate) fn copy_bytes(bytes: &[u8], to: &mut impl Dest) -> Result {
    copy_bytes_while(|| Ok(()), bytes, to)
}

/// As [`copy_bytes`], while a request is lent: `show` is called before the copier faults or sleeps.
///
/// # Errors
///
/// `EFAULT`; the error of `show`.
#[inline]
pub(crate) fn copy_bytes_while(
    mut show: impl FnMut() -> Result,
    bytes: &[u8],
    to: &mut impl Dest,
) -> Result {
    let mut done = to.copy_nofault(bytes.into());
    while let Some(rest @ [_, ..]) = bytes.get(done..) {
        show()?;
        to.fault_in(rest.len())?;
        done = done.saturating_add(to.copy_nofault(rest.into()));
    }
    Ok(())
}

/// Takes a struct that belongs to no request from the writer.
///
/// # Errors
///
/// `EFAULT`.
#[inline]
pub(crate) fn take_bytes(bytes: &mut [u8], from: &mut impl Source) -> Result {
    take_bytes_while(|| Ok(()), bytes, from)
}

/// As [`take_bytes`], while a request is lent: `show` is called before the copier faults or sleeps.
///
/// # Errors
///
/// `EFAULT`; the error of `show`.
#[inline]
pub(crate) fn take_bytes_while(
    mut show: impl FnMut() -> Result,
    bytes: &mut [u8],
    from: &mut impl Source,
) -> Result {
    let mut done = from.copy_nofault((&mut *bytes).into());
    while let Some(rest @ [_, ..]) = bytes.get_mut(done..) {
        show()?;
        from.fault_in(rest.len())?;
        done = done.saturating_add(from.copy_nofault(rest.into()));
    }
    Ok(())
}
