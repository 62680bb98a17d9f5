//! A map within a budget of memory, which drops the least recently used entries.

use std::{collections::HashMap, hash::Hash};

/// Entries by key, each with its size in bytes.
#[derive(Debug)]
pub struct Lru<K, V> {
    entries: HashMap<K, Entry<V>>,
    budget_bytes: usize,
    used_bytes: usize,
    clock: u64,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    bytes: usize,
    used_at: u64,
}

impl<K: Clone + Eq + Hash, V> Lru<K, V> {
    /// An empty map of up to `budget_bytes`; one entry is kept even if it is larger.
    pub fn new(budget_bytes: usize) -> Self {
        Self { entries: HashMap::new(), budget_bytes, used_bytes: 0, clock: 0 }
    }

    /// Bytes of all entries.
    pub fn used_bytes(&self) -> usize {
        self.used_bytes
    }

    /// The entry of `key`, which becomes the most recently used.
    pub fn get(&mut self, key: &K) -> Option<&V> {
        self.clock += 1;
        let entry = self.entries.get_mut(key)?;
        entry.used_at = self.clock;
        Some(&entry.value)
    }

    /// Inserts `value`, and drops least recently used entries until the budget is met.
    pub fn insert(&mut self, key: K, value: V, bytes: usize) {
        self.clock += 1;
        self.remove(&key);
        self.used_bytes += bytes;
        self.entries.insert(key, Entry { value, bytes, used_at: self.clock });
        while self.used_bytes > self.budget_bytes && self.entries.len() > 1 {
            // There are few entries, of megabytes each: a linear search is cheap compared with computing one.
            let oldest =
                self.entries.iter().min_by_key(|(_, entry)| entry.used_at).map(|(key, _)| key.clone());
            if let Some(oldest) = oldest {
                self.remove(&oldest);
            }
        }
    }

    /// Takes the entry of `key` out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let Entry { value, bytes, .. } = self.entries.remove(key)?;
        self.used_bytes -= bytes;
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(lru: &mut Lru<&'static str, i32>) -> Vec<Option<i32>> {
        ["a", "b", "c"].iter().map(|key| lru.get(key).copied()).collect()
    }

    #[test]
    fn the_least_recently_used_entry_is_dropped_first() {
        let mut lru = Lru::new(10);
        lru.insert("a", 1, 4);
        lru.insert("b", 2, 4);
        assert_eq!(lru.get(&"a"), Some(&1));
        lru.insert("c", 3, 4);
        assert_eq!(values(&mut lru), [Some(1), None, Some(3)]);
        assert_eq!(lru.used_bytes(), 8);
    }

    #[test]
    fn one_entry_stays_however_large() {
        let mut lru = Lru::new(10);
        lru.insert("a", 1, 4);
        lru.insert("b", 2, 100);
        assert_eq!((values(&mut lru), lru.used_bytes()), (vec![None, Some(2), None], 100));
        lru.insert("b", 3, 5);
        assert_eq!((values(&mut lru), lru.used_bytes()), (vec![None, Some(3), None], 5));
    }
}
