//! The parts of the meshes' kinds that the operator writes: types only, no logic.
//!
//! They are serialised in the form in which the API server stores them, as their rule lists are atomic: one default
//! left out would make every comparison with the stored object differ.

pub mod gateway;
pub mod istio;
