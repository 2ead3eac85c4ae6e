// SPDX-License-Identifier: GPL-2.0

//! How bytes move between a channel and a server.

pub(crate) mod dev;
