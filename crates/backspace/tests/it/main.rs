//! The one integration binary: tidiness, stories, the command line, the service, crashes.

mod tidy;
