// SPDX-License-Identifier: GPL-2.0

//! The administrator's limits for servers: the sysctls of `fs.fuse`, which `fstype/sysctl.rs`
//! names. The limits of servers without privilege are parameters of the module, see
//! `glue/params.rs`.

use crate::vfs::control::sysctl::Number;

/// The maximum that INIT can express for each of them.
const MOST: u32 = u16::MAX as u32;

/// Maximum number of pages of data in one request.
pub(crate) static MAX_PAGES_LIMIT: Number = Number::new(256, 1, MOST);

/// Seconds in which a server that did not ask for a timeout has to answer; 0 is forever.
pub(crate) static DEFAULT_REQUEST_TIMEOUT: Number = Number::new(0, 0, MOST);

/// Maximum number of seconds that a server may take to answer, whatever it asked for; 0 is forever.
pub(crate) static MAX_REQUEST_TIMEOUT: Number = Number::new(0, 0, MOST);

/// Seconds in which a server that asked for `asked` (0: for none) has to answer, not less than
/// `least`; `None` is forever.
pub(crate) fn request_timeout(asked: u16, least: u32) -> Option<u32> {
    let wanted = match asked {
        0 => DEFAULT_REQUEST_TIMEOUT.get(),
        asked => asked.into(),
    };
    bounded(wanted, MAX_REQUEST_TIMEOUT.get(), least)
}

/// `wanted`, if not 0, limited to the maximum `most`, if not 0, and to the minimum `least`.
fn bounded(wanted: u32, most: u32, least: u32) -> Option<u32> {
    let timeout = match (wanted, most) {
        (0, 0) => return None,
        (wanted, 0) => wanted,
        (0, most) => most,
        (wanted, most) => wanted.min(most),
    };
    Some(timeout.max(least))
}

#[cfg(CONFIG_KUNIT = "y")]
#[kernel::macros::kunit_tests(ferrofuse_conn_limits)]
mod tests {
    use super::*;

    /// Neither bound counts while it is 0, and `least` always does.
    #[test]
    fn timeouts_are_bounded() {
        assert_eq!(bounded(0, 0, 15), None);
        assert_eq!(bounded(20, 0, 15), Some(20));
        assert_eq!(bounded(0, 20, 15), Some(20));
        assert_eq!(bounded(30, 20, 15), Some(20));
        assert_eq!(bounded(16, 20, 15), Some(16));
        assert_eq!(bounded(1, 20, 15), Some(15));
        assert_eq!(bounded(30, 1, 15), Some(15));
    }
}
