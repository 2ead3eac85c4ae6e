// SPDX-License-Identifier: GPL-2.0

//! Errnos.

use core::num::NonZeroI32;

/// A negative errno.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Error(NonZeroI32);

impl Error {
    pub fn to_errno(self) -> i32 {
        self.0.get()
    }

    const fn of(errno: i32) -> Self {
        match NonZeroI32::new(-errno) {
            Some(errno) => Self(errno),
            None => panic!("no error"),
        }
    }
}

impl core::fmt::Debug for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "errno {}", -self.0.get())
    }
}

/// What may fail.
pub type Result<T = (), E = Error> = core::result::Result<T, E>;

/// A result of C.
pub fn to_result(errno: i32) -> Result {
    match NonZeroI32::new(errno) {
        Some(errno) if errno.get() < 0 => Err(Error(errno)),
        _ => Ok(()),
    }
}

impl From<crate::alloc::AllocError> for Error {
    fn from(_: crate::alloc::AllocError) -> Self {
        code::ENOMEM
    }
}

impl From<core::num::TryFromIntError> for Error {
    fn from(_: core::num::TryFromIntError) -> Self {
        code::EINVAL
    }
}

impl From<core::convert::Infallible> for Error {
    fn from(never: core::convert::Infallible) -> Self {
        match never {}
    }
}

/// The numbers.
pub mod code {
    use super::Error;

    macro_rules! errnos {
        ($($name:ident = $number:literal;)+) => {
            $( pub const $name: Error = Error::of($number); )+

            /// Its name, for those who read of a failure.
            pub fn name(errno: i32) -> &'static str {
                match -errno {
                    0 => "success",
                    $( $number => stringify!($name), )+
                    _ => "an errno of the server's",
                }
            }
        };
    }

    errnos! {
        EPERM = 1;
        ENOENT = 2;
        EINTR = 4;
        EIO = 5;
        E2BIG = 7;
        EBADF = 9;
        ECHILD = 10;
        EAGAIN = 11;
        ENOMEM = 12;
        EACCES = 13;
        EFAULT = 14;
        EBUSY = 16;
        EEXIST = 17;
        ENODEV = 19;
        EINVAL = 22;
        ENOTTY = 25;
        ENOSPC = 28;
        ERANGE = 34;
        ENAMETOOLONG = 36;
        ENOSYS = 38;
        EOVERFLOW = 75;
        EOPNOTSUPP = 95;
        ECONNABORTED = 103;
        ECANCELED = 125;
        ENOTCONN = 107;
        ECONNREFUSED = 111;
        ERESTARTSYS = 512;
        ERESTARTNOINTR = 513;
        EIOCBQUEUED = 529;
    }
}
