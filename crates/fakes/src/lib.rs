//! The strict stand-ins: a model server and a forge server that reject what the real ones reject.
//!
//! They stand in for what cannot be reached from a test machine, and for nothing else. `backspace dev` starts them.

pub mod forge;
pub mod model;
