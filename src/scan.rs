//! Looking through text.

/// Whether all bytes are so. `is` is asked for each of them: a loop without a way out looks
/// at many bytes at once.
pub fn all(bytes: &[u8], is: impl Fn(u8) -> bool) -> bool {
    let others = bytes.iter().map(|byte| u8::from(!is(*byte)));
    others.fold(0, |others, other| others | other) == 0
}

/// Whether a terminal or a reader of lines would not just show it: a control character, a
/// separator of lines or paragraphs, or what changes the direction of writing.
pub fn steers(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_is_neither_a_letter_nor_a_space() {
        let steering = [
            '\0', '\n', '\u{7f}', '\u{9b}', '\u{2028}', '\u{202e}', '\u{2066}',
        ];
        assert!(steering.into_iter().all(steers));
        assert!(!" ~\u{a0}\u{fc}\u{5d0}\u{1f511}".contains(steers));
    }

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
