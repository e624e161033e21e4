//! Who may compute: a number of slots, given out in order of asking.
//!
//! A hospital of its own machine has one. Hospitals that share a machine, as in a simulation, share its slots as well:
//! whoever waits says how many are before it, so that a busy machine is never mistaken for a lost hospital.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

#[derive(Default)]
struct Queue {
    /// Tickets given out.
    given: u64,
    /// Tickets served, in order.
    served: u64,
    free: usize,
}

/// Slots to compute in. Cloning shares them.
#[derive(Clone)]
pub struct Slots {
    queue: Arc<(Mutex<Queue>, Condvar)>,
}

/// A slot in use; given back when dropped.
pub(crate) struct Slot {
    slots: Slots,
}

impl Slots {
    /// So many slots; at least one.
    pub fn new(count: usize) -> Self {
        let queue = Queue { free: count.max(1), ..Queue::default() };
        Self { queue: Arc::new((Mutex::new(queue), Condvar::new())) }
    }

    /// Waits for a slot; `waits` hears how many are before this one, whenever that changes.
    pub(crate) fn take(&self, mut waits: impl FnMut(u64)) -> Slot {
        let (queue, changed) = &*self.queue;
        // A panic elsewhere leaves plain counts behind, which are still right.
        let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
        let ticket = queue.given;
        queue.given += 1;
        while queue.served < ticket || queue.free == 0 {
            waits(ticket - queue.served + 1);
            queue = changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.served += 1;
        queue.free -= 1;
        changed.notify_all();
        Slot { slots: self.clone() }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let (queue, changed) = &*self.slots.queue;
        queue.lock().unwrap_or_else(PoisonError::into_inner).free += 1;
        changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_given_in_order_and_never_more_than_there_are() {
        let slots = Slots::new(2);
        let first = slots.take(|_| {});
        let _second = slots.take(|_| {});
        let order = Arc::new(Mutex::new(Vec::new()));
        let waiting = Arc::new(Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for number in 0..3_u64 {
                let (slots, order, waiting) = (slots.clone(), Arc::clone(&order), Arc::clone(&waiting));
                scope.spawn(move || {
                    let slot = slots.take(|ahead| waiting.lock().unwrap().push((number, ahead)));
                    order.lock().unwrap().push(number);
                    drop(slot);
                });
                // Each stands in the queue before the next comes.
                while slots.queue.0.lock().unwrap().given < number + 3 {
                    std::thread::yield_now();
                }
            }
            assert!(order.lock().unwrap().is_empty(), "both slots are in use");
            drop(first);
        });
        assert_eq!(*order.lock().unwrap(), [0, 1, 2]);
        let waiting = waiting.lock().unwrap();
        let of = |number| waiting.iter().filter(|(of, _)| *of == number).map(|(_, ahead)| *ahead).collect::<Vec<_>>();
        assert!(of(2).windows(2).all(|pair| pair[1] <= pair[0]) && of(2)[0] == 3, "{waiting:?}");
    }
}
