//! How many tokens a text has, as far as one can say without the model's own way of counting.

/// Bytes that a token stands for before anybody has counted: between code (about 3) and English prose (about 4.5).
const BYTES_PER_TOKEN: f64 = 3.6;
/// What no text of any language comes down to; a count beyond it is an error of whoever counted.
const BYTES_PER_TOKEN_MIN: f64 = 1.0;
/// What no text of any language comes up to.
const BYTES_PER_TOKEN_MAX: f64 = 8.0;

/// Turns bytes into tokens, corrected by what the provider counted last.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Gauge {
    bytes_per_token: f64,
}

impl Default for Gauge {
    fn default() -> Self {
        Self { bytes_per_token: BYTES_PER_TOKEN }
    }
}

impl Gauge {
    /// About how many tokens `bytes` are.
    pub(super) fn tokens(self, bytes: u64) -> u64 {
        (bytes as f64 / self.bytes_per_token).ceil() as u64
    }

    /// About how many bytes `tokens` are.
    pub(super) fn bytes(self, tokens: u64) -> u64 {
        (tokens as f64 * self.bytes_per_token) as u64
    }

    /// Takes in that somebody counted `tokens` in `bytes`. Who counts nothing has not counted.
    pub(super) fn correct(&mut self, bytes: u64, tokens: u64) {
        if tokens > 0 {
            self.bytes_per_token =
                (bytes as f64 / tokens as f64).clamp(BYTES_PER_TOKEN_MIN, BYTES_PER_TOKEN_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_corrects_what_comes_after_it() {
        let mut gauge = Gauge::default();
        assert_eq!((gauge.tokens(3600), gauge.bytes(1000)), (1000, 3600));
        // A provider counts 3,000 tokens in 6,000 bytes: from there on two bytes are one.
        gauge.correct(6000, 3000);
        assert_eq!((gauge.tokens(6000), gauge.tokens(7001), gauge.bytes(10)), (3000, 3501, 20));
        gauge.correct(6000, 0);
        assert_eq!(gauge.tokens(6000), 3000);
    }

    #[test]
    fn an_absurd_count_does_little_harm() {
        let mut gauge = Gauge::default();
        gauge.correct(1000, u64::MAX);
        assert_eq!(gauge.tokens(1000), 1000);
        gauge.correct(1_000_000, 1);
        assert_eq!(gauge.tokens(1000), 125);
    }
}
