//! Sums in pairs.

/// Adds values in pairs of neighbours, then pairs of these, and so on. A group of 2, 4, 8, ... values
/// that starts at a multiple of its size can be added beforehand without changing any bit of the sum.
pub struct Pairwise<T> {
    /// The sum of `2^level` values, where there is one without a partner.
    levels: Vec<Option<T>>,
}

impl<T> Default for Pairwise<T> {
    fn default() -> Self {
        Self { levels: Vec::new() }
    }
}

impl<T> Pairwise<T> {
    /// Adds the next value. `sum` adds two values, of which the first one came first.
    pub fn add(&mut self, value: T, sum: impl Fn(T, T) -> T) {
        let mut value = value;
        for level in &mut self.levels {
            match level.take() {
                Some(first) => value = sum(first, value),
                None => {
                    *level = Some(value);
                    return;
                }
            }
        }
        self.levels.push(Some(value));
    }

    /// The sum; `None` of no values.
    pub fn finish(self, sum: impl Fn(T, T) -> T) -> Option<T> {
        let sums = self.levels.into_iter().flatten();
        sums.reduce(|last, first| sum(first, last))
    }
}

#[cfg(test)]
mod tests {
    use super::Pairwise;

    fn order(values: impl IntoIterator<Item = String>) -> String {
        let add = |first, second| format!("({first}{second})");
        let mut sum = Pairwise::default();
        values.into_iter().for_each(|value| sum.add(value, add));
        sum.finish(add).unwrap_or_default()
    }

    fn letters(count: usize) -> Vec<String> {
        ('a'..='z').take(count).map(String::from).collect()
    }

    #[test]
    fn neighbours_are_added_first() {
        let expected = [
            "",
            "a",
            "(ab)",
            "((ab)c)",
            "((ab)(cd))",
            "(((ab)(cd))e)",
            "(((ab)(cd))(ef))",
        ];
        for (count, expected) in expected.into_iter().enumerate() {
            assert_eq!(order(letters(count)), expected);
        }
    }

    #[test]
    fn groups_of_a_power_of_two_can_be_added_beforehand() {
        for size in [1, 2, 4, 8] {
            for count in 1..24 {
                let letters = letters(count);
                let groups = letters.chunks(size).map(|group| order(group.to_vec()));
                assert_eq!(order(groups), order(letters.clone()), "{count} by {size}");
            }
        }
    }
}
