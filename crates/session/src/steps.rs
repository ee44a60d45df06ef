//! The steps of the story, one file each.

mod check;
mod checkout;
mod ground;
mod preflight;
mod provision;
mod publish;
mod push;
mod rescue;
mod setup;
mod teardown;
mod work;

pub(crate) use check::check;
pub(crate) use checkout::{Checkout, checkout};
pub(crate) use ground::Ground;
pub(crate) use preflight::{Place, preflight};
pub(crate) use provision::provision;
pub(crate) use publish::{Work, publish};
pub(crate) use rescue::rescue;
pub(crate) use setup::setup;
pub(crate) use teardown::teardown;
pub(crate) use work::{nothing_changed, work};
