//! Kubernetes' quantities (`500m`, `1Gi`): the server stores them in a form of its own.
//!
//! Source: k8s.io/apimachinery/pkg/api/resource, "Quantity".

/// The quantity as a number of billionths; `None` for what is none, or too fine or too large for that.
pub fn nano(text: &str) -> Option<i128> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let suffix = text.strip_prefix(number)?;
    match suffix {
        "Ki" => binary(number, 1),
        "Mi" => binary(number, 2),
        "Gi" => binary(number, 3),
        "Ti" => binary(number, 4),
        "Pi" => binary(number, 5),
        "Ei" => binary(number, 6),
        "n" => decimal(number, -9),
        "u" => decimal(number, -6),
        "m" => decimal(number, -3),
        "k" => decimal(number, 3),
        "M" => decimal(number, 6),
        "G" => decimal(number, 9),
        "T" => decimal(number, 12),
        "P" => decimal(number, 15),
        "E" => decimal(number, 18),
        "" => match number.split_once(['e', 'E']) {
            Some((number, exponent)) => decimal(number, exponent.parse().ok()?),
            None => decimal(number, 0),
        },
        _ => None,
    }
}

/// The quantity as a number; `None` for what is none. Also finer and larger than billionths can say.
pub fn number(text: &str) -> Option<f64> {
    let form = |text: &str| {
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') && digits.chars().any(|c| c.is_ascii_digit())
    };
    if let Some(plain) = text.parse().ok().filter(|_| form(text)) {
        return Some(plain);
    }
    #[allow(clippy::cast_precision_loss)] // a limit of 2^53 billionths is none that anybody measures exactly
    nano(text).map(|nano| nano as f64 / 1e9)
}

fn binary(number: &str, power: u32) -> Option<i128> {
    decimal(number, 0)?.checked_mul(1024_i128.pow(power))
}

/// `number` * 10^`exponent` in billionths.
fn decimal(number: &str, exponent: i32) -> Option<i128> {
    let (sign, digits) = match number.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = fraction.trim_end_matches('0');
    let all = format!("{whole}{fraction}");
    if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let places = u32::try_from(exponent.checked_add(9)? - i32::try_from(fraction.len()).ok()?).ok()?;
    let value: i128 = all.parse().ok()?;
    value.checked_mul(10_i128.checked_pow(places)?)?.checked_mul(sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_quantity_is_one_number() {
        let table = [
            ("0.5", "500m"),
            ("1024Mi", "1Gi"),
            ("2000m", "2"),
            ("1e3", "1k"),
            ("1.5Gi", "1536Mi"),
            ("1.50", "1500m"),
            ("+1", "1"),
            ("1E", "1000P"),
            ("0", "0m"),
        ];
        for (one, other) in table {
            assert!(nano(one).is_some(), "{one}");
            assert_eq!(nano(one), nano(other), "{one} {other}");
        }
    }

    #[test]
    fn what_is_no_quantity_has_no_number() {
        for text in ["", "Mi", "one", "1.2.3", "1Xi", "0.0000000001", "1e99", "--1", "true"] {
            assert_eq!(nano(text), None, "{text}");
        }
    }

    #[test]
    fn different_quantities_differ() {
        assert_ne!(nano("1G"), nano("1Gi"));
        assert_ne!(nano("-1"), nano("1"));
    }
}
