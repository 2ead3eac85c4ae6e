// SPDX-License-Identifier: GPL-2.0

//! Devices and pipes: what a server talks through.

pub(crate) mod miscdev;
pub(crate) mod pipe;
