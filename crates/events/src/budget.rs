//! What a session may use up, and who says so.

use serde::{Deserialize, Serialize};

/// What a session may use up. Each bound that is set ends the session in order: what exists is landed as a draft.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Budget {
    /// US dollars, for everything that the model is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd: Option<f64>,
    /// Input and output tokens together, cached ones included.
    pub tokens: Option<u64>,
    /// Replies of the model.
    pub turns: Option<u32>,
    /// Minutes of active time.
    pub minutes: Option<u32>,
}

impl Budget {
    /// More dollars than this are a typing error.
    pub const USD_MAX: f64 = 10_000.0;
    /// More tokens than this are a typing error; every integer up to here is one in JSON, too.
    pub const TOKENS_MAX: u64 = 1 << 53;
    /// More replies than this are a typing error.
    pub const TURNS_MAX: u32 = 10_000;
    /// A week.
    pub const MINUTES_MAX: u32 = 7 * 24 * 60;

    /// Whether `usd` can be a bound.
    pub fn takes_usd(usd: f64) -> bool {
        usd > 0.0 && usd <= Self::USD_MAX
    }
}

/// Who set a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whose {
    /// Whoever asked for the session.
    Request,
    /// The repository, in `.backspace/config.toml` of the base branch.
    Repository,
    /// Whoever runs the service, by its settings.
    Operator,
    /// `backspace` itself, where nobody else did.
    Service,
}

impl Whose {
    /// The name in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Repository => "repository",
            Self::Operator => "operator",
            Self::Service => "service",
        }
    }
}

/// A bound, and who set it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound<T> {
    /// So much may be used.
    pub max: T,
    /// Who says so.
    pub whose: Whose,
}

/// The bounds that hold for a session: of each kind the smallest that anybody set.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Bounds {
    /// US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd: Option<Bound<f64>>,
    /// Input and output tokens together, cached ones included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Bound<u64>>,
    /// Replies of the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turns: Option<Bound<u32>>,
    /// Minutes of active time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minutes: Option<Bound<u32>>,
}

impl Bounds {
    /// Of each kind the smallest of `budgets`; of equal ones the first. So nobody can give more than another allows.
    pub fn smallest(budgets: &[(Whose, Budget)]) -> Self {
        let mut bounds = Self::default();
        for (whose, budget) in budgets {
            narrow(&mut bounds.usd, budget.usd, *whose);
            narrow(&mut bounds.tokens, budget.tokens, *whose);
            narrow(&mut bounds.turns, budget.turns, *whose);
            narrow(&mut bounds.minutes, budget.minutes, *whose);
        }
        bounds
    }

    /// Whether nobody set any.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Each bound in words, with who set it: `40 turns (request)`.
    pub fn in_words(&self) -> Vec<String> {
        let words = [
            self.usd.map(|bound| (usd(bound.max), bound.whose)),
            self.tokens.map(|bound| (format!("{} tokens", bound.max), bound.whose)),
            self.turns.map(|bound| (format!("{} turns", bound.max), bound.whose)),
            self.minutes.map(|bound| (format!("{} minutes", bound.max), bound.whose)),
        ];
        let words = words.into_iter().flatten();
        words.map(|(bound, whose)| format!("{bound} ({})", whose.as_str())).collect()
    }
}

/// Dollars for people: cents, and more places for what is less than one.
pub fn usd(amount: f64) -> String {
    if amount == 0.0 || amount >= 0.01 { format!("${amount:.2}") } else { format!("${amount:.4}") }
}

fn narrow<T: PartialOrd + Copy>(bound: &mut Option<Bound<T>>, max: Option<T>, whose: Whose) {
    if let Some(max) = max
        && bound.is_none_or(|bound| max < bound.max)
    {
        *bound = Some(Bound { max, whose });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_bound_of_each_kind_holds_whoever_set_it() {
        let request = Budget { usd: Some(5.0), turns: Some(40), ..Budget::default() };
        let repository = Budget { usd: Some(0.5), tokens: Some(1000), turns: Some(40), ..Budget::default() };
        let operator = Budget { usd: Some(2.0), tokens: Some(900), minutes: Some(30), turns: Some(50) };
        let bounds = Bounds::smallest(&[
            (Whose::Request, request),
            (Whose::Repository, repository),
            (Whose::Operator, operator),
        ]);
        assert_eq!(bounds.usd, Some(Bound { max: 0.5, whose: Whose::Repository }));
        assert_eq!(bounds.tokens, Some(Bound { max: 900, whose: Whose::Operator }));
        assert_eq!(bounds.turns, Some(Bound { max: 40, whose: Whose::Request }));
        assert_eq!(
            bounds.in_words(),
            ["$0.50 (repository)", "900 tokens (operator)", "40 turns (request)", "30 minutes (operator)"]
        );
        assert!(Bounds::smallest(&[(Whose::Operator, Budget::default())]).is_empty());
    }

    #[test]
    fn only_sensible_dollars_are_a_bound() {
        let takes = [0.01, 10_000.0].into_iter().all(Budget::takes_usd);
        let refuses = [0.0, -1.0, f64::NAN, f64::INFINITY, 10_000.5].into_iter().any(Budget::takes_usd);
        assert!(takes && !refuses);
        assert_eq!([usd(1.5), usd(0.0), usd(0.0042)], ["$1.50", "$0.00", "$0.0042"]);
    }
}
