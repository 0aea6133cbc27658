//! Numbers with three decimals, rounded up as the original's are, and never by way of a float, in which 0.007 is a little
//! more than 7 thousandths.

use crate::model::quantity;

/// Billionths that a thousandth has.
const THOUSANDTH: i128 = 1_000_000;

/// A number or a quantity (`0.01`, `500m`) with three decimals, rounded up. What is none, is too large or is closer to 0
/// than a billionth stays as it is written.
pub fn rounded(text: &str) -> String {
    let Some(nano) = billionths(text) else {
        return text.to_owned();
    };
    let up = i128::from(nano.rem_euclid(THOUSANDTH) > 0);
    let thousandths = nano.div_euclid(THOUSANDTH) + up;
    let sign = if thousandths < 0 { "-" } else { "" };
    let (whole, decimals) = (thousandths.unsigned_abs() / 1000, thousandths.unsigned_abs() % 1000);
    format!("{sign}{whole}.{decimals:03}")
}

/// The number as billionths, rounded up.
fn billionths(text: &str) -> Option<i128> {
    let exact = |text: &str| quantity::nano(text);
    exact(text).or_else(|| {
        // A measured value may have more than nine decimals.
        let (_, fraction) = text.split_once('.')?;
        let (_, finer) = fraction.split_at_checked(9)?;
        let is_number = finer.bytes().all(|byte| byte.is_ascii_digit());
        let cut = exact(text.strip_suffix(finer).filter(|_| is_number)?)?;
        let up = !text.starts_with('-') && finer.contains(|digit| digit != '0');
        Some(cut + i128::from(up))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_decimals_and_are_rounded_up() {
        for (text, want) in [
            ("0", "0.000"),
            ("50", "50.000"),
            ("0.01", "0.010"),
            ("0.0001", "0.001"),
            ("8.001", "8.001"),
            ("0.8781", "0.879"),
            ("136.084", "136.084"),
            ("136.0840", "136.084"),
            ("9.9991", "10.000"),
            ("999.9999999", "1000.000"),
            ("0.30000000000000004", "0.301"),
            ("0.30000000000000000", "0.300"),
            ("0.00000000000000001", "0.001"),
            ("-1.2345", "-1.234"),
            ("-1.00000000000000001", "-1.000"),
            ("-0.0001", "0.000"),
            ("-3", "-3.000"),
        ] {
            assert_eq!(rounded(text), want, "{text}");
        }
    }

    #[test]
    fn quantities_and_exponents_are_numbers_too() {
        for (text, want) in [
            ("500m", "0.500"),
            ("1n", "0.001"),
            ("4830965910n", "4.831"),
            ("2k", "2000.000"),
            ("1Ki", "1024.000"),
            ("1.5Mi", "1572864.000"),
            ("1e-5", "0.001"),
            ("1.5e3", "1500.000"),
        ] {
            assert_eq!(rounded(text), want, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_rounded_stays_as_it_is() {
        let large = "1".repeat(60);
        for text in [
            "",
            "many",
            "1.2.3",
            "1Xi",
            "NaN",
            "0.1234567890123x",
            "ä.ääääääääääää",
            "1e-30",
            &large,
        ] {
            assert_eq!(rounded(text), text);
        }
    }
}
