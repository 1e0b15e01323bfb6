//! An allocator that calls the host while the host writes its answer into the guest's memory, where no guest may call.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, Ordering};

use dr_guest_kit::report;

static ARMED: AtomicBool = AtomicBool::new(false);

#[global_allocator]
static ALLOCATOR: Reentrant = Reentrant;

struct Reentrant;

/// The host allocates for its answer with the guest's allocator.
pub(crate) fn call_back_from_the_next_allocation() {
    ARMED.store(true, Ordering::Relaxed);
}

// SAFETY: all of the work is the system allocator's.
unsafe impl GlobalAlloc for Reentrant {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if ARMED.swap(false, Ordering::Relaxed) {
            report::debug("called from within an answer");
        }
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}
