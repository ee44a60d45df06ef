//! A strict stand-in for the model providers, on both wires.
