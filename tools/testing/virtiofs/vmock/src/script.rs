// SPDX-License-Identifier: GPL-2.0

//! What the guest's test has ordered: lies about answers, and when answers are given.

/// What is done to an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Lie {
    /// The used length is this much off.
    Used(i32),
    /// The length in the header is this much off.
    Length(i32),
    /// Both lengths are this much off; the bytes beyond the answer are zeros.
    Both(i32),
    /// The unique number is this much off.
    Unique(i32),
    /// A header with this in place of the error, and no body.
    Error(i32),
    /// A header with this in place of the error, and the body.
    LongError(i32),
    /// No answer before `release` or `reverse`.
    Hold,
    /// No answer before the device was reset and started again.
    Stale,
    /// It is given back twice.
    Twice,
    /// Another descriptor is given back.
    Head(i32),
    /// The answer takes so many milliseconds.
    Delay(i32),
}

/// A line of the control file.
pub enum Order {
    /// Lie to requests of an opcode, so many times.
    Rule { opcode: u32, times: u32, lie: Lie },
    /// Give what was held, in order or in the reverse.
    Release { reverse: bool },
    /// Take nothing from the queues for so many milliseconds.
    Stop(u64),
    /// The seconds that the next INIT gives a request.
    Timeout(u16),
}

fn lie(word: &str, number: i32) -> Option<Lie> {
    Some(match word {
        "used" => Lie::Used(number),
        "length" => Lie::Length(number),
        "both" => Lie::Both(number),
        "unique" => Lie::Unique(number),
        "error" => Lie::Error(number),
        "long-error" => Lie::LongError(number),
        "hold" => Lie::Hold,
        "stale" => Lie::Stale,
        "twice" => Lie::Twice,
        "head" => Lie::Head(number),
        "delay" => Lie::Delay(number),
        _ => return None,
    })
}

/// Reads `lie OPCODE TIMES WORD NUMBER`, `release`, `reverse`, `stop MILLISECONDS` or
/// `timeout SECONDS`.
pub fn order(line: &str) -> Option<Order> {
    let mut words = line.split_whitespace();
    match words.next()? {
        "lie" => {
            let (opcode, times) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
            let lie = lie(words.next()?, words.next()?.parse().ok()?)?;
            Some(Order::Rule { opcode, times, lie })
        }
        "release" => Some(Order::Release { reverse: false }),
        "reverse" => Some(Order::Release { reverse: true }),
        "stop" => Some(Order::Stop(words.next()?.parse().ok()?)),
        "timeout" => Some(Order::Timeout(words.next()?.parse().ok()?)),
        _ => None,
    }
}
