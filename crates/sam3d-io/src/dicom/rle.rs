//! DICOM's RLE (PS3.5, Annex G): up to 15 segments of PackBits, one for each byte of a value, the highest byte first.

use super::DicomError;

const HEADER_BYTES: usize = 64;

/// The `count` values of `value_bytes` bytes in a frame, little-endian.
pub(super) fn decode(frame: &[u8], count: usize, value_bytes: usize) -> Result<Vec<u8>, DicomError> {
    let damaged = |reason: String| DicomError::PixelsDamaged { codec: "RLE", reason };
    let header = frame.get(..HEADER_BYTES).ok_or_else(|| damaged("the header is cut short".into()))?;
    let (words, _) = header.as_chunks::<4>();
    let words: Vec<usize> = words.iter().map(|word| u32::from_le_bytes(*word) as usize).collect();
    if words[0] != value_bytes {
        return Err(damaged(format!("expected {value_bytes} segments, found {}", words[0])));
    }
    let mut values = vec![0; count * value_bytes];
    for segment in 0..value_bytes {
        let end = if segment + 1 < value_bytes { words[segment + 2] } else { frame.len() };
        let packed = frame.get(words[segment + 1]..end);
        let packed = packed.ok_or_else(|| damaged(format!("segment {segment} lies outside the frame")))?;
        let low_byte_first = value_bytes - 1 - segment;
        let places = values[low_byte_first..].iter_mut().step_by(value_bytes);
        let unpacked = unpack(packed, places);
        if unpacked < count {
            return Err(damaged(format!("expected {count} values in segment {segment}, found {unpacked}")));
        }
    }
    Ok(values)
}

/// A frame of one byte for each value, run-length encoded row by row; its length is even.
pub(super) fn encode(values: &[u8], columns: usize) -> Vec<u8> {
    let mut frame = vec![0; HEADER_BYTES];
    frame[0] = 1;
    frame[4] = HEADER_BYTES as u8;
    for row in values.chunks(columns.max(1)) {
        pack(row, &mut frame);
    }
    if frame.len() % 2 == 1 {
        frame.push(0);
    }
    frame
}

/// The most values of one run.
const LONGEST: usize = 128;

/// Runs of three equal values or more are stored once; what lies between them as it is.
fn pack(mut row: &[u8], frame: &mut Vec<u8>) {
    let run_of = |values: &[u8]| {
        let same = values.iter().take_while(|value| Some(*value) == values.first()).count();
        same.min(LONGEST)
    };
    while !row.is_empty() {
        let run = run_of(row);
        if run > 1 {
            frame.extend([(257 - run) as u8, row[0]]);
            row = &row[run..];
            continue;
        }
        let mut length = 1;
        while length < row.len().min(LONGEST) && run_of(&row[length..]) < 3 {
            length += 1;
        }
        let (literal, rest) = row.split_at(length);
        frame.push((length - 1) as u8);
        frame.extend(literal);
        row = rest;
    }
}

/// Unpacks as many bytes as there are places, or as are there, and returns how many.
fn unpack<'a>(packed: &[u8], mut places: impl Iterator<Item = &'a mut u8>) -> usize {
    let mut filled = 0;
    let mut rest = packed;
    while let Some((control, after)) = rest.split_first() {
        let (bytes, repeat) = match control {
            0..=127 => {
                let (literal, after) = after.split_at(after.len().min(usize::from(*control) + 1));
                rest = after;
                (literal, 1)
            }
            128 => {
                rest = after;
                continue;
            }
            129..=255 => {
                let (run, after) = after.split_at(after.len().min(1));
                rest = after;
                (run, 257 - usize::from(*control))
            }
        };
        for byte in bytes {
            for _ in 0..repeat {
                let Some(place) = places.next() else { return filled };
                *place = *byte;
                filled += 1;
            }
        }
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(segments: &[&[u8]]) -> Vec<u8> {
        let mut words = vec![segments.len() as u32];
        let mut offset = HEADER_BYTES as u32;
        for segment in segments {
            words.push(offset);
            offset += segment.len() as u32;
        }
        words.resize(16, 0);
        words.iter().flat_map(|word| word.to_le_bytes()).chain(segments.concat()).collect()
    }

    #[test]
    fn two_bytes_of_each_value() {
        // Three times 1 and a literal 2; then the low bytes 5, 6, 7, 8, with a control byte that does nothing.
        let frame = frame(&[&[254, 1, 0, 2], &[128, 3, 5, 6, 7, 8]]);
        assert_eq!(decode(&frame, 4, 2).unwrap(), [5, 1, 6, 1, 7, 1, 8, 2]);
    }

    proptest::proptest! {
        #[test]
        fn encoded_frames_come_back(
            values in proptest::collection::vec(0u8..3, 1..700),
            columns in 1usize..300,
        ) {
            let frame = encode(&values, columns);
            proptest::prop_assert!(frame.len().is_multiple_of(2));
            proptest::prop_assert_eq!(decode(&frame, values.len(), 1).unwrap(), values);
        }
    }

    #[test]
    fn long_runs_are_short() {
        assert_eq!(encode(&[7; 512], 512).len(), HEADER_BYTES + 8);
        assert_eq!(encode(&[1, 2, 3, 3, 3, 3], 6)[HEADER_BYTES..], [1, 1, 2, 253, 3, 0]);
    }

    #[test]
    fn what_is_cut_short_or_points_elsewhere() {
        let sound = frame(&[&[254, 1, 0, 2], &[3, 5, 6, 7, 8]]);
        for length in 0..sound.len() {
            assert!(decode(&sound[..length], 4, 2).is_err(), "{length} bytes");
        }
        assert!(decode(&sound, 5, 2).is_err());
        assert!(decode(&sound, 4, 1).is_err());
        let mut elsewhere = sound;
        elsewhere[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(decode(&elsewhere, 4, 2).is_err());
    }
}
