//! Parses arguments, builds the runtime, runs, turns the result into an exit code.
fn main() {}
