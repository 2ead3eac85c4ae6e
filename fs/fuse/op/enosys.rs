// SPDX-License-Identifier: GPL-2.0

//! The last column of the table, as types: the caller's result of an operation that the server
//! lacks.
//!
//! As types, because the rule determines the type of the result: with [`Fallback`] it is an
//! `Option`, so the caller cannot forget the alternative.

use super::Enosys;
use kernel::prelude::*;

/// A rule for operations whose reply contains `T`.
pub(crate) trait Rule<T> {
    /// The caller's result.
    type Out;

    /// The rule as a value.
    const ENOSYS: Enosys;

    /// The result for a reply.
    fn answered(out: T) -> Self::Out;

    /// The result if the server lacks the operation.
    fn lacking() -> Result<Self::Out>;
}

/// ENOSYS is an error like others.
pub(crate) struct Pass;

impl<T> Rule<T> for Pass {
    type Out = T;

    const ENOSYS: Enosys = Enosys::Pass;

    #[inline]
    fn answered(out: T) -> T {
        out
    }

    fn lacking() -> Result<T> {
        Err(ENOSYS)
    }
}

/// The server has nothing to do: success, now and later.
pub(crate) struct Done;

impl Rule<()> for Done {
    type Out = ();

    const ENOSYS: Enosys = Enosys::RememberOk;

    #[inline]
    fn answered((): ()) {}

    fn lacking() -> Result {
        Ok(())
    }
}

/// The caller has an alternative, now and later.
pub(crate) struct Fallback;

impl<T> Rule<T> for Fallback {
    type Out = Option<T>;

    const ENOSYS: Enosys = Enosys::Fallback;

    #[inline]
    fn answered(out: T) -> Option<T> {
        Some(out)
    }

    fn lacking() -> Result<Option<T>> {
        Ok(None)
    }
}

/// Declares rules that return an error, now and later.
macro_rules! errors {
    ($( $(#[$doc:meta])* $name:ident = $error:ident; )+) => {$(
        $(#[$doc])*
        pub(crate) struct $name;

        impl<T> Rule<T> for $name {
            type Out = T;

            const ENOSYS: Enosys = Enosys::Remember($error);

            #[inline]
            fn answered(out: T) -> T {
                out
            }

            fn lacking() -> Result<T> {
                Err($error)
            }
        }
    )+};
}

errors! {
    /// EPERM, as of file systems that have no hard links.
    Eperm = EPERM;
    /// EINVAL, as of file systems that do not know the flags.
    Einval = EINVAL;
    /// EOPNOTSUPP.
    Eopnotsupp = EOPNOTSUPP;
}
