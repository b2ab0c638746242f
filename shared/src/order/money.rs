//! Money: an exact amount, and the currency whose minor units bound its decimal places.

use std::fmt;
use std::str::FromStr;

use rust_decimal::Decimal;

use super::Invalid;

/// A currency of ISO 4217 that has minor units, or none of them by definition, as the yen. Codes that count no money, such as gold
/// (`XAU`) and the test code (`XTS`), are not currencies here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Currency(iso_currency::Currency);

impl Currency {
    /// The euro.
    pub const EUR: Self = Self(iso_currency::Currency::EUR);

    /// The alphabetic code: `EUR`.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.0.code()
    }

    /// The number of decimal places of an amount: 2 of `EUR`, 0 of `JPY`, 3 of `KWD`.
    #[must_use]
    pub fn minor_units(self) -> u16 {
        self.0.exponent().unwrap_or_default()
    }

    /// Every currency that a new order may have, in the order of the codes.
    pub fn all() -> impl Iterator<Item = Self> {
        let letters = || 'A'..='Z';
        let codes = letters().flat_map(move |a| letters().flat_map(move |b| letters().map(move |c| [a, b, c])));
        codes.filter_map(|code| code.iter().collect::<String>().parse().ok())
    }

    /// The currency of a stored order. It may have been superseded since.
    #[must_use]
    pub fn stored(code: &str) -> Option<Self> {
        let currency = iso_currency::Currency::from_code(code)?;
        currency.exponent().map(|_| Self(currency))
    }
}

impl FromStr for Currency {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let known = Self::stored(text).filter(|currency| currency.code() == text);
        // The table says that VED supersedes VES. ISO 4217 has both, and its amendment 170 keeps VES for payments.
        known
            .filter(|currency| currency.0.is_superseded().is_none() || currency.0 == iso_currency::Currency::VES)
            .ok_or(Invalid("must be the code of a currency by ISO 4217, such as EUR"))
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// An amount of money: exact, from 0 to below 10^12, with at most as many decimal places as its currency has minor units.
/// It is displayed with exactly as many: `59.98` of `EUR`, `60` of `JPY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amount {
    value: Decimal,
    currency: Currency,
}

impl Amount {
    /// The first amount that is too large.
    const LIMIT: Decimal = Decimal::from_parts(3_567_587_328, 232, 0, false, 0); // 10^12
    /// `Decimal` holds 28 digits exactly. It would round a longer literal, so this refuses one.
    const MAX_LITERAL: usize = 28;

    /// Reads a JSON number's text or a plain decimal by its value: `59.98`, `60`, `6e1`, `59.9800`.
    pub fn parse(text: &str, currency: Currency) -> Result<Self, Invalid> {
        let text = without_trailing_zeros(text);
        let is_literal = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
        if !is_literal || text.len() > Self::MAX_LITERAL {
            return Err(Self::rule(currency));
        }
        let parsed = if text.contains(['e', 'E']) { Decimal::from_scientific(text) } else { text.parse() };
        let value = parsed.map_err(|_| Self::rule(currency))?.normalize();
        let is_negative = value.is_sign_negative() && !value.is_zero();
        if is_negative || value >= Self::LIMIT || value.scale() > u32::from(currency.minor_units()) {
            return Err(Self::rule(currency));
        }
        Ok(Self { value: value.abs(), currency })
    }

    /// The rule that an amount of this currency keeps.
    #[must_use]
    pub fn rule(currency: Currency) -> Invalid {
        Invalid(match currency.minor_units() {
            0 => "must be a number from 0 to below 1000000000000 without decimal places in its currency",
            2 => "must be a number from 0 to below 1000000000000 with at most 2 decimal places in its currency",
            3 => "must be a number from 0 to below 1000000000000 with at most 3 decimal places in its currency",
            _ => "must be a number from 0 to below 1000000000000 with no more decimal places than its currency has",
        })
    }

    /// A stored amount. The database's rules have accepted it.
    #[must_use]
    pub fn stored(value: Decimal, currency: Currency) -> Self {
        Self { value: value.normalize(), currency }
    }

    /// The amount as a decimal.
    #[must_use]
    pub fn as_decimal(self) -> Decimal {
        self.value
    }

    /// The currency.
    #[must_use]
    pub fn currency(self) -> Currency {
        self.currency
    }
}

/// Removes the zeros at the end of a plain decimal's fraction, however many. They do not change its value.
fn without_trailing_zeros(text: &str) -> &str {
    match text.find('.') {
        Some(point) if point + 1 < text.len() && !text.contains(['e', 'E']) => {
            let trimmed = text.trim_end_matches('0');
            trimmed.strip_suffix('.').unwrap_or(trimmed)
        }
        _ => text,
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.*}", usize::from(self.currency.minor_units()), self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount_in(currency: &str, text: &str) -> Option<String> {
        Amount::parse(text, currency.parse().unwrap()).ok().map(|amount| amount.to_string())
    }

    #[test]
    fn amount_is_exact_and_shown_with_two_decimals() {
        for (given, shown) in [
            ("59.98", "59.98"),
            ("60", "60.00"),
            ("0.1", "0.10"),
            ("6e1", "60.00"),
            ("1.50e-1", "0.15"),
            ("10.100", "10.10"),
            ("-0", "0.00"),
            ("0.0", "0.00"),
            ("36.4000", "36.40"),
            ("36.00000000000000000000000000000000", "36.00"),
            ("999999999999.99", "999999999999.99"),
        ] {
            assert_eq!(amount_in("EUR", given).as_deref(), Some(shown), "{given}");
        }
    }

    #[test]
    fn amount_out_of_range_or_precision_is_refused() {
        for text in [
            "0.001",
            "-0.01",
            "1000000000000",
            "1e12",
            "1e400",
            "1e-400",
            "NaN",
            "Infinity",
            "",
            "36.4001",
            "1_0",
            ".",
            "0x1",
            " 1",
            "0.0000000000000000000000000000000000001",
            "1.00000000000000000000000000000001",
        ] {
            assert_eq!(amount_in("EUR", text), None, "{text}");
        }
    }

    #[test]
    fn decimals_of_an_amount_are_those_of_its_currency() {
        for (currency, text, shown) in [
            ("JPY", "1200", Some("1200")),
            ("JPY", "1200.00", Some("1200")),
            ("JPY", "1.2e3", Some("1200")),
            ("JPY", "1200.5", None),
            ("KWD", "1.5", Some("1.500")),
            ("KWD", "1.505", Some("1.505")),
            ("KWD", "999999999999.999", Some("999999999999.999")),
            ("KWD", "1.5055", None),
            ("CLF", "1.5055", Some("1.5055")),
            ("CLF", "1.50555", None),
            ("USD", "1.505", None),
        ] {
            assert_eq!(amount_in(currency, text).as_deref(), shown, "{currency} {text}");
        }
    }

    #[test]
    fn currency_is_a_code_in_use_that_counts_money() {
        for code in ["eur", "EURO", "", "E", "XAU", "XXX", "XTS", "XDR", "ABC", "978", "\u{20ac}", "HRK", "DEM"] {
            assert!(code.parse::<Currency>().is_err(), "{code}");
        }
        let all: Vec<_> = Currency::all().map(Currency::code).collect();
        assert!(all.is_sorted() && (150..200).contains(&all.len()), "{all:?}");
        assert!(["EUR", "JPY", "KWD", "USD", "VED", "VES"].iter().all(|code| all.contains(code)));
        assert!(Currency::all().all(|currency| currency.minor_units() <= 4));
    }

    #[test]
    fn limit_of_an_amount_is_ten_to_the_twelve() {
        assert_eq!(Amount::LIMIT, Decimal::from(1_000_000_000_000_i64));
    }
}
