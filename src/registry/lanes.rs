//! Several layers at once: as many lanes as the limits allow take from one queue, and the first failure stops them all.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::thread::Builder;

use super::error::RegistryError;
use super::exchange::Exchange;

/// Calls `work` with each item, in their order; returns the first failure once all lanes have stopped.
pub(super) fn each<T: Send>(
    items: impl IntoIterator<Item = T>,
    exchange: &Exchange<'_>,
    work: impl Fn(T) -> Result<(), RegistryError> + Sync,
) -> Result<(), RegistryError> {
    let items: VecDeque<T> = items.into_iter().collect();
    let lanes = exchange.config().limits.parallel_layers;
    let lanes = lanes.clamp(1, items.len().max(1));
    let queue = Mutex::new(items);
    let failure = Mutex::new(None);
    let lane = || {
        while !exchange.is_stopped() {
            let next = queue
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop_front();
            let Some(item) = next else { return };
            if let Err(error) = work(item) {
                let mut slot = failure.lock().unwrap_or_else(PoisonError::into_inner);
                slot.get_or_insert(error);
                exchange.stop();
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..lanes {
            // A lane less is slower, not wrong.
            let _ = Builder::new()
                .name("layer".to_owned())
                .spawn_scoped(scope, lane);
        }
        lane();
    });
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}
