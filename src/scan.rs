//! Looking through text.

/// Whether all bytes are so. `is` is asked for each of them: a loop without a way out looks
/// at many bytes at once.
pub fn all(bytes: &[u8], is: impl Fn(u8) -> bool) -> bool {
    let others = bytes.iter().map(|byte| u8::from(!is(*byte)));
    others.fold(0, |others, other| others | other) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_not_so_is_found_wherever_it_stands() {
        for length in 0..70 {
            let mut bytes = vec![b'x'; length];
            assert!(all(&bytes, |byte| byte.is_ascii_graphic()));
            for index in 0..length {
                bytes[index] = b'\n';
                assert!(!all(&bytes, |byte| byte.is_ascii_graphic()));
                bytes[index] = b'x';
            }
        }
    }
}
