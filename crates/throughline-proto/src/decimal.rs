//! Whole numbers as text, on the stack: the formatting machinery costs ten times as much as the digits.

/// The decimal digits of a number.
pub(crate) struct Decimal {
    digits: [u8; Decimal::MOST],
    first: usize,
}

impl Decimal {
    /// The digits of the largest number.
    pub(crate) const MOST: usize = 20;

    pub(crate) fn new(mut number: u64) -> Self {
        let mut digits = [b'0'; Self::MOST];
        let mut first = Self::MOST - 1;
        digits[first] += (number % 10) as u8;
        while number >= 10 && first > 0 {
            number /= 10;
            first -= 1;
            digits[first] += (number % 10) as u8;
        }
        Self { digits, first }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.digits[self.first..]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_ends_are_whole() {
        for number in [0, 9, 10, 99, 100, u64::MAX - 1, u64::MAX] {
            let decimal = Decimal::new(number);
            assert_eq!(decimal.as_bytes(), number.to_string().as_bytes());
        }
    }

    proptest! {
        #[test]
        fn the_text_is_that_of_display(number: u64) {
            let (decimal, text) = (Decimal::new(number), number.to_string());
            prop_assert_eq!(decimal.as_bytes(), text.as_bytes());
        }
    }
}
