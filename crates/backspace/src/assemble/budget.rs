//! From settings to what any session may use up.

use std::fmt::Display;
use std::str::FromStr;

use anyhow::{Result, bail};
use events::Budget;

use crate::config::Settings;
use crate::output::Usage;

/// The operator's bounds. What a request or a repository asks for holds where it is smaller.
///
/// # Errors
/// A number that is none, or can be no bound.
pub(crate) fn budget(settings: &Settings) -> Result<Budget> {
    let usd = settings.parsed("BACKSPACE_MAX_USD")?;
    if let Some(usd) = usd
        && !Budget::takes_usd(usd)
    {
        bail!(Usage(format!("BACKSPACE_MAX_USD must be above 0 and at most {}", Budget::USD_MAX)));
    }
    Ok(Budget {
        usd,
        tokens: whole(settings, "BACKSPACE_MAX_TOKENS", Budget::TOKENS_MAX)?,
        turns: whole(settings, "BACKSPACE_MAX_TURNS", Budget::TURNS_MAX)?,
        minutes: whole(settings, "BACKSPACE_MAX_MINUTES", Budget::MINUTES_MAX)?,
    })
}

/// A whole number from 1 to `max`.
fn whole<N>(settings: &Settings, name: &str, max: N) -> Result<Option<N>>
where
    N: FromStr<Err: Display> + PartialOrd + From<u8> + Display,
{
    let number = settings.parsed(name)?;
    if let Some(number) = &number
        && (*number < N::from(1) || *number > max)
    {
        bail!(Usage(format!("{name} is {number}; it must be a whole number from 1 to {max}")));
    }
    Ok(number)
}
