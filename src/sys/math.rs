//! The functions of the C library's mathematics that are called (by the progress bars and a parser), so that the library itself
//! need not be loaded by every start of the program. Nothing else.

// SAFETY: the C library's own signature and meaning.
#[unsafe(no_mangle)]
extern "C" fn pow(base: f64, exponent: f64) -> f64 {
    libm::pow(base, exponent)
}

// SAFETY: the same.
#[unsafe(no_mangle)]
extern "C" fn log2(number: f64) -> f64 {
    libm::log2(number)
}

#[cfg(test)]
mod tests {
    #[test]
    fn powers_are_those_of_the_standard() {
        let cases = [(2.0, 10.0, 1024.0), (0.1, 0.0, 1.0), (9.0, 0.5, 3.0)];
        for (base, exponent, power) in cases {
            assert_eq!(super::pow(base, exponent), power);
        }
        assert!(super::pow(-1.0, 0.5).is_nan());
        for (number, logarithm) in [(1.0, 0.0), (1024.0, 10.0), (0.25, -2.0)] {
            assert_eq!(super::log2(number), logarithm);
        }
    }
}
