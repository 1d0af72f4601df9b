//! How threads that work beside requests give way to those that answer them.

/// How much less than a thread that answers one gets that gives way: a tenth where both want the same core. Whatever those that answer
/// leave is its own, and where they leave nothing the tenth is: neither starves the other.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// From now on this thread, and threads that it starts, get a core only where those that answer leave one, and a tenth of it where they don't.
/// Nothing happens on other systems than Linux, where it would be the whole process.
pub fn give_way() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(NICE); // not allowed, it is no slower than before
}
