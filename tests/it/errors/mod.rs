//! What goes wrong is said in status, stalls only what it concerns, and is over when its cause is.

mod kinds;
mod moments;
mod quota;
mod specification;
mod stored;
mod unlisted;
