//! Bodies of several parts (`multipart/related`), read while they arrive.

use std::io::{self, Read, Write};

use memchr::memmem;

/// Bytes of a part's head that are accepted, and of what stands before the first part.
const MOST_HEAD_BYTES: usize = 64 << 10;
/// Longest boundary, of which the standard allows 70 characters.
const MOST_BOUNDARY_BYTES: usize = 200;
const CHUNK_BYTES: usize = 1 << 16;

/// Why a body could not be read to its end.
#[derive(Debug)]
pub(crate) enum MultipartFailure {
    /// It ends before its last boundary.
    Truncated,
    /// It is not made of parts.
    Malformed(&'static str),
    /// A part is larger than allowed.
    TooLarge,
    /// The connection.
    Receiving(io::Error),
    /// What a part is written to.
    Writing(io::Error),
}

/// The boundary of a `multipart/related` content type; `None` if it is another type or has none.
pub(crate) fn boundary_of(content_type: &str) -> Option<String> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/related") {
        return None;
    }
    let mut rest = parameters;
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=')?;
        let after = after.trim_start();
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => {
                let (value, next) = quoted.split_once('"')?;
                (value, next.trim_start().strip_prefix(';').unwrap_or_default())
            }
            None => after.split_once(';').unwrap_or((after, "")),
        };
        if name.trim().eq_ignore_ascii_case("boundary") {
            let value = value.trim();
            let is_usable = (1..=MOST_BOUNDARY_BYTES).contains(&value.len());
            return is_usable.then(|| value.to_owned());
        }
        rest = next;
    }
    None
}

/// A body, part after part.
pub(crate) struct Multipart<R> {
    source: R,
    /// What ends a part: a line break, two dashes, the boundary.
    delimiter: memmem::Finder<'static>,
    /// What has arrived and was not used yet.
    buffer: Vec<u8>,
    ended: bool,
}

impl<R: Read> Multipart<R> {
    pub(crate) fn new(source: R, boundary: &str) -> Self {
        let delimiter = memmem::Finder::new(format!("\r\n--{boundary}").as_bytes()).into_owned();
        // The first boundary may be the body's first line.
        Self { source, delimiter, buffer: b"\r\n".to_vec(), ended: false }
    }

    /// Writes the next part to what `open` gives for its media type, up to `most` bytes, and says how many they were; `None`
    /// after the last part.
    pub(crate) fn next_part<W: Write>(
        &mut self,
        most: u64,
        open: impl FnOnce(&str) -> io::Result<W>,
    ) -> Result<Option<(W, u64)>, MultipartFailure> {
        if self.ended || !self.begin_part()? {
            return Ok(None);
        }
        let kind = self.media_type()?;
        let mut part = open(&kind).map_err(MultipartFailure::Writing)?;
        let length = self.copy_part(most, &mut part)?;
        part.flush().map_err(MultipartFailure::Writing)?;
        Ok(Some((part, length)))
    }

    /// Goes behind the next boundary; `false` if it is the last.
    fn begin_part(&mut self) -> Result<bool, MultipartFailure> {
        let length = self.delimiter.needle().len();
        loop {
            match self.delimiter.find(&self.buffer) {
                Some(at) => {
                    self.buffer.drain(..at + length);
                    break;
                }
                None if self.buffer.len() > MOST_HEAD_BYTES => {
                    return Err(MultipartFailure::Malformed("it does not begin with its boundary"));
                }
                None => self.receive()?,
            }
        }
        while self.buffer.len() < 2 {
            self.receive()?;
        }
        if self.buffer.starts_with(b"--") {
            self.ended = true;
            return Ok(false);
        }
        Ok(true)
    }

    /// Reads the head of a part.
    fn media_type(&mut self) -> Result<String, MultipartFailure> {
        // The line break behind the boundary belongs to the search: a head may be empty.
        let end = loop {
            match memmem::find(&self.buffer, b"\r\n\r\n") {
                Some(at) => break at,
                None if self.buffer.len() > MOST_HEAD_BYTES => {
                    return Err(MultipartFailure::Malformed("the head of a part does not end"));
                }
                None => self.receive()?,
            }
        };
        let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
        let head = String::from_utf8_lossy(&head).into_owned();
        if !head.trim_start_matches([' ', '\t']).starts_with("\r\n") {
            return Err(MultipartFailure::Malformed("a boundary is followed by other text"));
        }
        let mut kind = String::new();
        for (name, value) in head.lines().filter_map(|line| line.split_once(':')) {
            if name.trim().eq_ignore_ascii_case("content-type") {
                value.split(';').next().unwrap_or_default().trim().clone_into(&mut kind);
            }
        }
        kind.make_ascii_lowercase();
        // What ends an empty part begins with the head's last line break.
        self.buffer.splice(..0, *b"\r\n");
        Ok(kind)
    }

    /// Copies up to the next boundary, which stays in the buffer.
    fn copy_part(&mut self, most: u64, to: &mut impl Write) -> Result<u64, MultipartFailure> {
        let mut copied = 0;
        // The two bytes that the head has put back.
        let mut skipped = 2;
        loop {
            let found = self.delimiter.find(&self.buffer);
            // The end of what is there may be the beginning of a boundary.
            let safe = match found {
                Some(at) => at,
                None => self.buffer.len().saturating_sub(self.delimiter.needle().len() - 1),
            };
            if safe > skipped {
                copied += (safe - skipped) as u64;
                if copied > most {
                    return Err(MultipartFailure::TooLarge);
                }
                to.write_all(&self.buffer[skipped..safe]).map_err(MultipartFailure::Writing)?;
                skipped = 0;
                self.buffer.drain(..safe);
            } else if found.is_some() {
                self.buffer.drain(..safe);
            }
            if found.is_some() {
                return Ok(copied);
            }
            self.receive()?;
        }
    }

    fn receive(&mut self) -> Result<(), MultipartFailure> {
        let before = self.buffer.len();
        self.buffer.resize(before + CHUNK_BYTES, 0);
        let count = loop {
            match self.source.read(&mut self.buffer[before..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result,
            }
        };
        self.buffer.truncate(before + count.as_ref().map_or(0, |count| *count));
        match count {
            Ok(0) => Err(MultipartFailure::Truncated),
            Ok(_) => Ok(()),
            Err(error) => Err(MultipartFailure::Receiving(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection that brings a few bytes at a time.
    struct Dribble<'a>(&'a [u8], usize);

    impl Read for Dribble<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(self.0.len()).min(buffer.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn parts(body: &[u8], at_once: usize) -> Result<Vec<(String, Vec<u8>)>, MultipartFailure> {
        let mut parts = Multipart::new(Dribble(body, at_once), "B0");
        let mut found = Vec::new();
        loop {
            let mut kind = String::new();
            let open = |given: &str| {
                kind = given.to_owned();
                Ok(Vec::new())
            };
            match parts.next_part(1000, open)? {
                Some((content, length)) => {
                    assert_eq!(length, content.len() as u64);
                    found.push((kind, content));
                }
                None => return Ok(found),
            }
        }
    }

    #[test]
    fn parts_do_not_depend_on_how_they_arrive() {
        let body = b"before\r\n--B0\r\nContent-Type: application/dicom\r\n\r\n\r\n--B\r\n--B1\r\n\r\n--B0 \t\r\n\r\n\r\n--B0\r\n\
            Content-Length: 1\r\ncontent-type:A/B;c=d\r\n\r\nx\r\n--B0\r\nE: f\r\n\r\n\r\n\r\n--B0--after\r\n--B0\r\n\r\n";
        let expected: Vec<(String, Vec<u8>)> =
            [("application/dicom", &b"\r\n--B\r\n--B1\r\n"[..]), ("", b""), ("a/b", b"x"), ("", b"\r\n")]
                .map(|(kind, content)| (kind.to_owned(), content.to_vec()))
                .to_vec();
        for at_once in 1..body.len() {
            assert_eq!(parts(body, at_once).unwrap(), expected, "{at_once} bytes at a time");
        }
        let last = memmem::rfind(body, b"--after").unwrap();
        for end in 0..last + 2 {
            let cut = parts(&body[..end], 5);
            assert!(matches!(cut, Err(MultipartFailure::Truncated)), "cut off after {end} bytes: {cut:?}");
        }
    }

    #[test]
    fn a_part_is_bounded_however_it_arrives() {
        let body = [&b"--B0\r\n\r\n"[..], &[7; 1001], b"\r\n--B0--"].concat();
        for at_once in [1, 100, 5000] {
            assert!(matches!(parts(&body, at_once), Err(MultipartFailure::TooLarge)));
        }
    }

    #[test]
    fn boundaries_are_quoted_or_not() {
        let of = |text: &str| boundary_of(text);
        assert_eq!(of("multipart/related; boundary=a-b").as_deref(), Some("a-b"));
        assert_eq!(of("Multipart/Related;type=\"a;b\";Boundary=\"c;d e\"").as_deref(), Some("c;d e"));
        for bad in [
            "",
            "multipart/related",
            "multipart/mixed; boundary=a",
            "multipart/related; boundary=",
            "multipart/related; boundary=\"a",
            "multipart/related; type",
        ] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
