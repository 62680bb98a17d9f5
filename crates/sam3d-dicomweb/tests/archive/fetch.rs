use std::{fs, time::Duration};

use sam3d_dicomweb::{ArchiveLimits, DicomWebError, FetchProgress, SeriesCache};

use crate::support::{FakeArchive, MULTIPART, Reply, SERIES, file, multipart, record, sentence};

fn files() -> Vec<Vec<u8>> {
    // Line breaks, what nearly is a boundary, nothing, and more than one read brings.
    let contents: [&[u8]; 4] = [b"\r\n--B", b"\r\n--B1\r\n\r\n--", b"", &[b'\r'; 200_000]];
    contents.iter().map(|content| file(content)).collect()
}

/// Fetches the series, of which `instances` are said to be there, from an archive that sends `reply`.
fn fetch(
    reply: impl Fn() -> Reply + Send + Sync + 'static,
    instances: Option<usize>,
    limits: ArchiveLimits,
) -> Result<Vec<Vec<u8>>, DicomWebError> {
    let archive = FakeArchive::start(move |_| reply());
    let root = tempfile::tempdir().unwrap();
    let cache = SeriesCache::new(root.path(), 1 << 30).unwrap();
    let client = archive.client_with(None, limits);
    let fetched = cache.fetch(&client, &record(SERIES, instances), &mut |_| Ok(()));
    let entries = fs::read_dir(root.path()).unwrap().count();
    assert_eq!(entries, usize::from(fetched.is_ok()), "what has failed leaves nothing behind");
    let series = fetched?;
    let mut paths: Vec<_> =
        fs::read_dir(series.directory()).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    Ok(paths.into_iter().map(|path| fs::read(path).unwrap()).collect())
}

fn sent(body: &[u8]) -> Reply {
    Reply::new(200, MULTIPART, body)
}

#[test]
fn files_arrive_byte_for_byte() {
    let archive = FakeArchive::start(|_| sent(&multipart(&files())));
    let root = tempfile::tempdir().unwrap();
    let cache = SeriesCache::new(root.path(), 1 << 30).unwrap();
    let mut heard = Vec::new();
    let series = cache.fetch(&archive.client(), &record(SERIES, Some(4)), &mut |progress| {
        heard.push(progress);
        Ok(())
    });
    let series = series.unwrap();
    for (number, content) in (1..).zip(files()) {
        assert_eq!(fs::read(series.directory().join(format!("{number:06}.dcm"))).unwrap(), content);
    }
    let bytes = files().iter().map(|file| file.len() as u64).sum();
    assert_eq!(heard.len(), 4);
    assert_eq!(heard[3], FetchProgress { instances: 4, expected: Some(4), bytes });
    let request = &archive.requests()[0];
    assert_eq!(request.target, "/dicom-web/studies/1.2.3/series/1.2.3.4");
    let accept = "multipart/related; type=\"application/dicom\"; transfer-syntax=*";
    assert_eq!(request.header("accept"), accept);
}

#[test]
fn the_head_of_a_body_may_be_written_in_many_ways() {
    let body = b"some words\r\n--x y;z \t\r\ncontent-type: Application/DICOM; transfer-syntax=1.2\r\n\r\n";
    let mut body = body.to_vec();
    body.extend(file(b"1"));
    body.extend_from_slice(b"\r\n--x y;z\r\n\r\n");
    body.extend(file(b"2"));
    body.extend_from_slice(b"\r\n--x y;z--");
    let kind = "Multipart/Related; type=\"application/dicom\";  BOUNDARY=\"x y;z\" ; start=a";
    let reply = move || Reply::new(200, kind, &body);
    assert_eq!(fetch(reply, None, ArchiveLimits::default()).unwrap(), [file(b"1"), file(b"2")]);
}

#[test]
fn an_archive_that_does_not_know_the_wish_for_stored_files() {
    let archive = FakeArchive::start(|request| {
        let with_wish = request.header("accept").contains("transfer-syntax");
        if with_wish { Reply::new(406, "", b"") } else { sent(&multipart(&files())) }
    });
    let root = tempfile::tempdir().unwrap();
    let cache = SeriesCache::new(root.path(), 1 << 30).unwrap();
    cache.fetch(&archive.client(), &record(SERIES, None), &mut |_| Ok(())).unwrap();
    assert_eq!(archive.requests().len(), 2);
}

/// Wherever the body is cut off, whether the connection says so or not, it is an error.
#[test]
fn a_series_that_breaks_off_is_an_error() {
    let whole = multipart(&files()[..3]);
    // The line break at the end does not matter.
    for end in (0..whole.len() - 2).step_by(7).chain([whole.len() - 3]) {
        let cut = whole[..end].to_vec();
        let error = fetch(move || sent(&cut), Some(3), ArchiveLimits::default()).unwrap_err();
        assert!(matches!(error, DicomWebError::Truncated { .. }), "{end}: {}", sentence(&error));
    }
    let dropped = move || {
        let mut reply = sent(&multipart(&files()));
        reply.bytes.truncate(reply.bytes.len() - 1000);
        reply
    };
    let error = fetch(dropped, Some(4), ArchiveLimits::default()).unwrap_err();
    assert!(matches!(error, DicomWebError::Truncated { arrived: 300.., .. }), "{error:?}");
}

#[test]
fn what_is_not_a_series_is_named() {
    type Case = (&'static str, fn() -> Reply, &'static str);
    let cases: [Case; 10] = [
        ("a page", || Reply::new(200, "text/html", b"<html>"), "found text/html"),
        ("one file", || Reply::new(200, "application/dicom", &file(b"")), "found application/dicom"),
        ("no boundary", || Reply::new(200, "multipart/related", b""), "found multipart/related"),
        (
            "another boundary",
            || Reply::new(200, MULTIPART, &[b'x'; 100_000]),
            "does not begin with its boundary",
        ),
        ("an endless head", || sent(&[&b"--B0\r\n"[..], &[b'x'; 100_000]].concat()), "does not end"),
        ("words behind a boundary", || sent(b"--B0 x\r\n\r\n\r\n--B0--"), "followed by other text"),
        ("pictures", || sent(b"--B0\r\nContent-Type: image/jpeg\r\n\r\nx\r\n--B0--"), "found image/jpeg"),
        (
            "no mark",
            || sent(b"--B0\r\nContent-Type: application/dicom\r\n\r\nx\r\n--B0--"),
            "without the mark",
        ),
        ("nothing", || sent(b"--B0--"), "sent 0 of the 1 images"),
        ("too few", || sent(&multipart(&files()[..2])), "sent 2 of the 3 images"),
    ];
    for (name, reply, words) in cases {
        let expected = if name == "too few" { Some(3) } else { None };
        let error = sentence(&fetch(reply, expected, ArchiveLimits::default()).unwrap_err());
        assert!(error.contains(words), "{name}: {error}");
    }
    let gone = || Reply::new(404, "application/json", b"{}");
    let error = fetch(gone, None, ArchiveLimits::default()).unwrap_err();
    assert!(matches!(error, DicomWebError::SeriesNotFound { .. }), "{error}");
    let packed = || {
        Reply {
        bytes: format!("HTTP/1.1 200 X\r\nContent-Type: {MULTIPART}\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\n\r\n").into(),
        pause: Duration::ZERO,
    }
    };
    let error = fetch(packed, None, ArchiveLimits::default()).unwrap_err();
    assert!(error.to_string().contains("found gzip"), "{error}");
}

#[test]
fn a_series_is_bounded_in_files_bytes_and_time() {
    let body = multipart(&files());
    let reply = move || sent(&body);
    let limits = ArchiveLimits::default;
    for (limits, words) in [
        (ArchiveLimits { instances: 2, ..limits() }, "more than 2 files of a series"),
        (ArchiveLimits { instance_bytes: 1000, ..limits() }, "more than 1000 bytes of a file"),
        (ArchiveLimits { series_bytes: 350, ..limits() }, "more than 350 bytes of a series"),
    ] {
        let error = fetch(reply.clone(), Some(4), limits).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
    let halting = || {
        let mut reply = sent(&multipart(&files()));
        reply.bytes.truncate(2000);
        Reply { pause: Duration::from_secs(20), ..reply }
    };
    for limits in [
        ArchiveLimits { silence: Duration::from_millis(200), ..limits() },
        ArchiveLimits { fetch: Duration::from_millis(300), ..limits() },
    ] {
        let error = fetch(halting, Some(4), limits).unwrap_err();
        assert!(matches!(error, DicomWebError::TimedOut { .. }), "{}", sentence(&error));
    }
}

#[test]
fn a_fetch_can_be_called_off() {
    let archive = FakeArchive::start(|_| sent(&multipart(&files())));
    let root = tempfile::tempdir().unwrap();
    let cache = SeriesCache::new(root.path(), 1 << 30).unwrap();
    let stop = &mut |progress: FetchProgress| match progress.instances {
        2 => Err(DicomWebError::CalledOff),
        _ => Ok(()),
    };
    let error = cache.fetch(&archive.client(), &record(SERIES, None), stop).unwrap_err();
    assert!(matches!(error, DicomWebError::CalledOff));
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}
