//! A strict stand-in for GitHub, with real git over smart HTTP.
