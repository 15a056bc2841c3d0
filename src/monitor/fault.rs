//! Where a test lets the monitor die: the steps of a start and an end, by name. Nothing of it is in a release build.

/// Dies here, without any of its own cleanup, if `BRYO_TEST_MONITOR_DIES` names the step. As the first process of its pid
/// namespace it could not send itself the signal; what the kernel does then is the same.
pub fn step(name: &str) {
    if !cfg!(debug_assertions) {
        return;
    }
    if std::env::var_os("BRYO_TEST_MONITOR_DIES").is_some_and(|wanted| wanted == name) {
        crate::sys::process::exit_now(137);
    }
}
