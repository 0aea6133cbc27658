//! Shares of requests: exact integers that sum to 100.

/// Turns relative weights into percentages that sum to 100, by largest remainder (ties: first in the list).
///
/// Weights that already sum to 100 are kept; a weight above 0 gets at least 1; a weight of 0 or less gets 0. All zeros
/// give all zeros. Holds for up to 100 weights above 0.
pub fn shares(weights: &[i32]) -> Vec<i32> {
    let weights: Vec<i64> = weights.iter().map(|weight| i64::from((*weight).max(0))).collect();
    let sum: i64 = weights.iter().sum();
    if sum == 0 {
        return vec![0; weights.len()];
    }
    let mut parts: Vec<Part> = weights.iter().map(|weight| Part::new(*weight, sum)).collect();
    let mut missing = 100 - parts.iter().map(|part| part.share).sum::<i64>();
    while missing > 0 {
        let Some(next) = first_by(&parts, |part| part.remainder) else {
            break;
        };
        next_part(&mut parts, next, 1);
        missing -= 1;
    }
    // Small weights were lifted to 1: take that from the largest.
    while missing < 0 {
        let Some(largest) = first_by(&parts, |part| part.share) else {
            break;
        };
        next_part(&mut parts, largest, -1);
        missing += 1;
    }
    parts
        .iter()
        .map(|part| i32::try_from(part.share).unwrap_or(0))
        .collect()
}

struct Part {
    share: i64,
    remainder: i64,
}

impl Part {
    fn new(weight: i64, sum: i64) -> Self {
        let share = weight * 100 / sum;
        if weight > 0 && share == 0 {
            return Self {
                share: 1,
                remainder: -1,
            };
        }
        Self {
            share,
            remainder: if weight > 0 { weight * 100 % sum } else { -1 },
        }
    }
}

fn first_by(parts: &[Part], key: impl Fn(&Part) -> i64) -> Option<usize> {
    let largest = parts.iter().map(&key).max()?;
    parts.iter().position(|part| key(part) == largest)
}

fn next_part(parts: &mut [Part], index: usize, by: i64) {
    if let Some(part) = parts.get_mut(index) {
        part.share += by;
        part.remainder = -1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shares_are_exact() {
        for (weights, want) in [
            (vec![50, 50], vec![50, 50]),
            (vec![30, 70], vec![30, 70]),
            (vec![50, 0], vec![100, 0]),
            (vec![1, 1, 1], vec![34, 33, 33]),
            (vec![50, 50, 50], vec![34, 33, 33]),
            (vec![1, 2], vec![33, 67]),
            (vec![100, 100], vec![50, 50]),
            (vec![100, 1], vec![99, 1]),
            (vec![100, 100, 1], vec![50, 49, 1]),
            (vec![0, 0], vec![0, 0]),
            (vec![7], vec![100]),
            (vec![], vec![]),
        ] {
            assert_eq!(shares(&weights), want, "{weights:?}");
        }
    }

    proptest! {
        #[test]
        fn shares_sum_to_100_and_nobody_with_a_weight_is_left_out(weights in prop::collection::vec(0..=100_i32, 1..16)) {
            let got = shares(&weights);
            let any = weights.iter().any(|weight| *weight > 0);
            prop_assert_eq!(got.iter().sum::<i32>(), if any { 100 } else { 0 });
            for (weight, share) in weights.iter().zip(&got) {
                prop_assert_eq!(*weight > 0, *share > 0);
            }
        }

        #[test]
        fn weights_that_sum_to_100_are_kept(first in 1..=98_i32, second in 1..=98_i32) {
            prop_assume!(first + second < 100);
            let weights = vec![first, second, 100 - first - second];
            prop_assert_eq!(shares(&weights), weights);
        }
    }
}
