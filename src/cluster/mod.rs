//! All I/O with the API server: watches that fill a compact store, writes by server-side apply, events.
//!
//! ```text
//! watch ──view──▶ store ──Change──▶ (controllers)
//!                   ▲                    │
//!                   └──view── apply ◀────┘
//! ```

pub mod apply;
pub mod calm;
pub mod client;
pub mod error;
pub mod events;
pub mod fields;
pub mod lease;
pub mod metrics;
pub mod permissions;
mod resource;
mod send;
pub mod store;
pub mod view;
pub mod watch;

pub use apply::{Applied, Precondition, Writer};
pub use calm::Calm;
pub use error::Error;
pub use events::Events;
pub use fields::Fields;
pub use metrics::Metrics;
pub use resource::Resource;
pub use store::{Change, KindChanged, KindState, Store};
pub use watch::Watches;
