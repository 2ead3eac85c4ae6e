// SPDX-License-Identifier: GPL-2.0

//! What went on with each request of a run, as the tracepoints tell it, and the rules of a request's
//! life that must hold at each of them.

use kernel::rt;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        Mutex,
        MutexGuard, //
    },
};

/// One request.
#[derive(Default)]
struct Life {
    /// The ids under which a server has got all of it.
    sent: Vec<u64>,
    /// How it ended.
    end: Option<i32>,
    /// The tasks that have written its answer, and have been told that it was taken.
    answered_by: Vec<usize>,
}

#[derive(Default)]
struct Run {
    lives: HashMap<usize, Life>,
    /// Which request has this id, or had it.
    ids: HashMap<u64, usize>,
    /// What each task copies just now, by the task's address.
    lent: HashMap<usize, usize>,
}

static RUN: Mutex<Option<Run>> = Mutex::new(None);

fn with<R>(f: impl FnOnce(&mut Run) -> R) -> R {
    let mut run: MutexGuard<'_, Option<Run>> =
        RUN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    f(run.get_or_insert_default())
}

fn task() -> usize {
    Arc::as_ptr(&rt::current()).addr()
}

/// A run begins.
pub(crate) fn begin() {
    with(|run| *run = Run::default());
}

/// A request got this id.
pub(crate) fn queued(address: usize, unique: u64) {
    with(|run| {
        run.lives.entry(address).or_default();
        run.ids.insert(unique, address);
    });
}

/// This task may copy it from now on.
pub(crate) fn lent(address: usize) {
    let task = task();
    with(|run| run.lent.insert(task, address));
}

/// The task has done its copying.
pub(crate) fn copied_all() {
    let task = task();
    with(|run| run.lent.remove(&task));
}

/// Bytes go between the request that this task copies and its buffer.
pub(crate) fn copied(len: usize) {
    let task = task();
    let late = with(|run| {
        let life = run
            .lent
            .get(&task)
            .and_then(|address| run.lives.get(address));
        life.is_some_and(|life| life.end.is_some())
    });
    assert!(!late, "{len} bytes are copied of a request that has ended");
}

/// The server has all of it.
pub(crate) fn sent(unique: u64) {
    with(|run| {
        if let Some(life) = run.ids.get(&unique).and_then(|at| run.lives.get_mut(at)) {
            life.sent.push(unique);
        }
    });
}

/// It has ended.
pub(crate) fn ended(unique: u64, error: i32) {
    let again = with(|run| {
        let life = run.ids.get(&unique).and_then(|at| run.lives.get_mut(at))?;
        life.end.replace(error)
    });
    assert!(again.is_none(), "request {unique} ends twice");
}

/// This task has written an answer to it, which was taken.
pub(crate) fn answered(unique: u64) {
    let task = task();
    with(|run| {
        if let Some(life) = run.ids.get(&unique).and_then(|at| run.lives.get_mut(at)) {
            life.answered_by.push(task);
        }
    });
}

/// This task has read an INTERRUPT for this id.
///
/// A thread that has answered the request must not get one after that. Another thread may: it was
/// on its way to that one, and nothing orders the two.
pub(crate) fn interrupted(unique: u64) {
    let task = task();
    let (got, over) = with(|run| {
        let life = run.ids.get(&unique).and_then(|at| run.lives.get(at));
        (
            life.is_some_and(|life| life.sent.contains(&unique)),
            life.is_some_and(|life| life.answered_by.contains(&task)),
        )
    });
    assert!(
        got,
        "an INTERRUPT names request {unique}, which no server has got"
    );
    assert!(
        !over,
        "an INTERRUPT names request {unique}, which was answered before it was read"
    );
}

/// Who waited for the request with this id, or its completion, sees this errno.
pub(crate) fn seen(unique: u64, error: i32) {
    let end = with(|run| run.ids.get(&unique).and_then(|at| run.lives.get(at))?.end);
    if let Some(first) = end {
        assert!(
            first == error,
            "request {unique} ended with {first}, and {error} is seen"
        );
    }
}
