//! Lines into a pipe that others write to, too.

/// `PIPE_BUF` of Linux (pipe(7)): so many bytes stay together, and go in as a whole or not
/// at all.
const UNDIVIDED: usize = 4096;

/// As many of the lines as stay together, so that nobody else's line gets into one of
/// them. A line that is longer comes alone.
pub fn undivided(lines: &[u8]) -> &[u8] {
    let Some(most) = lines.get(..UNDIVIDED) else {
        return lines;
    };
    let end = memchr::memrchr(b'\n', most).or_else(|| memchr::memchr(b'\n', lines));
    end.map_or(lines, |end| &lines[..=end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_parted_only_at_their_ends() {
        let line = |length: usize| "x".repeat(length - 1) + "\n";
        for (lines, expected) in [
            (vec![], vec![]),
            (vec![1, 5, 4090], vec![4096]),
            (vec![1, 5, 4091], vec![6, 4091]),
            (vec![4096, 1], vec![4096, 1]),
            (vec![4097, 1, 2], vec![4097, 3]),
            (vec![7, 9999, 4000, 96], vec![7, 9999, 4096]),
        ] {
            let text: String = lines.iter().map(|length| line(*length)).collect();
            let mut left = text.as_bytes();
            let mut portions = Vec::new();
            while !left.is_empty() {
                let portion = undivided(left);
                portions.push(portion.len());
                left = &left[portion.len()..];
            }
            assert_eq!(portions, expected, "{lines:?}");
        }
        assert_eq!(undivided(&[b'x'; 5000]).len(), 5000);
    }
}
