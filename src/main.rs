//! The `iter8` binary.

fn main() {}
