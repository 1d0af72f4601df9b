//! How threads that work beside requests give way to those that answer them.

/// How much less than a thread that answers one gets that gives way: some tenth where both want the same core, so that neither starves the
/// other. What those that answer leave is its own.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// From now on this thread, and threads that it starts, get of a core what those that answer leave, and some tenth of it where they leave nothing.
/// Nothing happens on other systems than Linux, where it would be the whole process.
pub fn give_way() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(NICE); // not allowed, it is no slower than before
}
