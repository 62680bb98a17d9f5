//! Values of an object's own: UIDs, dates, numbers in text form.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A unique identifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uid(String);

impl Uid {
    /// The UID of a random number: `2.25.` and its digits (PS3.5, B.2), with the bits of a random UUID.
    pub fn from_random(number: u128) -> Self {
        const VERSION_4: u128 = 0x4000 << 64;
        const VARIANT: u128 = 0x8000 << 48;
        let uuid = number & !(0xf000 << 64) & !(0xc000 << 48) | VERSION_4 | VARIANT;
        Self(format!("2.25.{uuid}"))
    }

    /// Its digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A point in time, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(Duration);

impl Moment {
    /// Now, by the computer's clock.
    pub fn now() -> Self {
        Self::since_1970(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
    }

    /// So long after 1970 began.
    pub fn since_1970(duration: Duration) -> Self {
        Self(duration)
    }

    /// `YYYYMMDD`.
    pub(super) fn date(self) -> String {
        // Days into eras of 400 years, which begin in March, so that leap days are at the end.
        const DAYS_BEFORE_1970: u64 = 719_468;
        let days = self.0.as_secs() / 86_400 + DAYS_BEFORE_1970;
        let (era, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day_of_year = day - (365 * year + year / 4 - year / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = 400 * era + year + u64::from(month <= 2);
        format!("{year:04}{month:02}{day:02}")
    }

    /// `HHMMSS`.
    pub(super) fn time(self) -> String {
        let seconds = self.0.as_secs() % 86_400;
        format!("{:02}{:02}{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
    }
}

/// A number in text form, rounded to 1e-4: at most 16 characters, as the standard demands.
pub(super) fn decimal(value: f64) -> String {
    let text = format!("{value:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    match text {
        "-0" => "0".to_owned(),
        text if text.len() <= 16 => text.to_owned(),
        // Numbers too large for that have no need of decimals.
        _ => format!("{value:.8e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_are_of_random_uuids_and_short_enough() {
        assert_eq!(
            Uid::from_random(0xf81d_4fae_7dec_11d0_a765_00a0_c91e_6bf6).as_str(),
            format!("2.25.{}", 0xf81d_4fae_7dec_41d0_a765_00a0_c91e_6bf6u128)
        );
        assert!(Uid::from_random(u128::MAX).as_str().len() <= 44);
    }

    #[test]
    fn dates_with_leap_days() {
        let at = |seconds| {
            let moment = Moment::since_1970(Duration::from_secs(seconds));
            (moment.date(), moment.time())
        };
        assert_eq!(at(0), ("19700101".into(), "000000".into()));
        assert_eq!(at(951_782_400), ("20000229".into(), "000000".into()));
        assert_eq!(at(1_709_251_199), ("20240229".into(), "235959".into()));
        assert_eq!(at(4_107_542_400), ("21000301".into(), "000000".into()));
    }

    #[test]
    fn numbers_have_at_most_sixteen_characters() {
        assert_eq!(decimal(-87.890_708), "-87.8907");
        assert_eq!(
            (decimal(-0.000_01), decimal(2.0), decimal(100.0)),
            ("0".into(), "2".into(), "100".into())
        );
        for value in [-123_456_789_012.345, 1e300, -1e-300, f64::from(f32::MIN)] {
            let text = decimal(value);
            assert!(text.len() <= 16 && text.parse::<f64>().is_ok(), "{text}");
        }
    }
}
